# The store. Which fields are indexed and which collections forget is said once, in ../firestore.indexes.json, which firebase tools read too.

locals {
  indexes = jsondecode(file("${path.module}/../firestore.indexes.json"))

  composite_indexes = {
    for index in local.indexes.indexes :
    join(" ", concat([index.collectionGroup, index.queryScope], [for field in index.fields : "${field.fieldPath}:${try(field.order, field.arrayConfig, "VECTOR")}"])) => index
  }

  fields = { for field in local.indexes.fieldOverrides : "${field.collectionGroup} ${field.fieldPath}" => field }

  database = var.create_database ? google_firestore_database.store[0].name : var.database
}

resource "google_firestore_database" "store" {
  count = var.create_database ? 1 : 0

  name                              = var.database
  location_id                       = coalesce(var.database_location, var.region)
  type                              = "FIRESTORE_NATIVE"
  database_edition                  = "STANDARD"
  concurrency_mode                  = "OPTIMISTIC" # the gateway uses no transactions; whoever does should not lock its documents
  delete_protection_state           = var.keep_database ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = var.keep_database ? "ABANDON" : "DELETE"
  point_in_time_recovery_enablement = var.point_in_time_recovery ? "POINT_IN_TIME_RECOVERY_ENABLED" : "POINT_IN_TIME_RECOVERY_DISABLED"

  depends_on = [google_project_service.apis]
}

# Exemptions, indexes of single fields, and the TTL policy where `ttl` is set. Field `*` stands for all that have no entry.
resource "google_firestore_field" "fields" {
  for_each = local.fields

  database   = local.database
  collection = each.value.collectionGroup
  field      = each.value.fieldPath

  index_config {
    dynamic "indexes" {
      for_each = each.value.indexes

      content {
        query_scope  = indexes.value.queryScope
        order        = try(indexes.value.order, null)
        array_config = try(indexes.value.arrayConfig, null)
      }
    }
  }

  dynamic "ttl_config" {
    for_each = try(each.value.ttl, false) ? [true] : []

    content {}
  }
}

resource "google_firestore_index" "indexes" {
  for_each = local.composite_indexes

  database    = local.database
  collection  = each.value.collectionGroup
  query_scope = each.value.queryScope

  dynamic "fields" {
    for_each = each.value.fields

    content {
      field_path   = fields.value.fieldPath
      order        = try(fields.value.order, null)
      array_config = try(fields.value.arrayConfig, null)

      dynamic "vector_config" {
        for_each = try([fields.value.vectorConfig], [])

        content {
          dimension = vector_config.value.dimension

          flat {}
        }
      }
    }
  }
}

resource "google_firestore_backup_schedule" "daily" {
  count = var.backup_retention_days > 0 ? 1 : 0

  database  = local.database
  retention = "${var.backup_retention_days * 86400}s"

  daily_recurrence {}
}
