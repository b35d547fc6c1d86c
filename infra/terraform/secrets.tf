# Secrets that the gateway reads by reference. They are made empty: nothing waits for a value, and no value reaches the state.

locals {
  secret_names = setunion(["admin-key"], var.vertex_key_file ? ["vertex-key"] : [], var.secrets)
}

resource "google_secret_manager_secret" "secrets" {
  for_each = local.secret_names

  secret_id = "${var.name}-${each.key}"
  labels    = local.labels

  replication {
    dynamic "auto" {
      for_each = length(var.secret_locations) == 0 ? [true] : []

      content {}
    }

    dynamic "user_managed" {
      for_each = length(var.secret_locations) == 0 ? [] : [true]

      content {
        dynamic "replicas" {
          for_each = var.secret_locations

          content {
            location = replicas.value
          }
        }
      }
    }
  }

  depends_on = [google_project_service.apis]
}

# Write-only: the value goes to Secret Manager and nowhere else. A raised number stores the value anew; the version before is disabled.
resource "google_secret_manager_secret_version" "admin_key" {
  count = var.admin_key_version > 0 ? 1 : 0

  secret                 = google_secret_manager_secret.secrets["admin-key"].id
  secret_data_wo         = var.admin_key
  secret_data_wo_version = var.admin_key_version
  deletion_policy        = "DISABLE"

  lifecycle {
    create_before_destroy = true # `latest` must never be a version that is disabled
  }
}

resource "google_secret_manager_secret_version" "vertex_key" {
  count = var.vertex_key_file && var.vertex_key_version > 0 ? 1 : 0

  secret                 = google_secret_manager_secret.secrets["vertex-key"].id
  secret_data_wo         = var.vertex_key_json
  secret_data_wo_version = var.vertex_key_version
  deletion_policy        = "DISABLE"

  lifecycle {
    create_before_destroy = true
  }
}
