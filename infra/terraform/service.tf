# The gateway: a Cloud Run service from an image or, by variable, a Cloud Run function from source. docs/deploy.md argues the figures.

locals {
  # Everything the gateway is told. Secrets are references that it reads itself, at the first call that needs them: an
  # instance starts although a value is missing, and a rotated one is noticed without a new revision.
  settings = merge(
    {
      GOOGLE_CLOUD_PROJECT = var.project_id
      GATEWAY_STORE        = "firestore://${var.project_id}/${var.database}"
      GATEWAY_PUBLIC_URL   = local.public_url
      GATEWAY_ADMIN_KEY    = "${google_secret_manager_secret.secrets["admin-key"].name}/versions/latest"
      GATEWAY_ALERT_TOPIC  = google_pubsub_topic.alerts.id
    },
    local.swept ? { GATEWAY_SWEEP_EMAIL = google_service_account.sweeper.email } : {},
    local.vertex_to == "" ? {} : { VERTEX_PROJECT_ID = local.vertex_to, VERTEX_REGION = var.vertex_location },
    var.vertex_key_file ? { VERTEX_SERVICE_ACCOUNT_JSON = "${google_secret_manager_secret.secrets["vertex-key"].name}/versions/latest" } : {},
    var.telemetry ? { GATEWAY_TELEMETRY = "google" } : {},
    var.settings,
  )

  service_name = local.is_function ? google_cloudfunctions2_function.gateway[0].name : google_cloud_run_v2_service.gateway[0].name
}

resource "google_cloud_run_v2_service" "gateway" {
  count = local.is_function ? 0 : 1

  name                 = var.name
  location             = var.region
  labels               = local.labels
  ingress              = local.ingress
  invoker_iam_disabled = local.open
  deletion_protection  = false # it holds nothing: what must not be lost lies in Firestore

  template {
    service_account                  = google_service_account.runtime.email
    timeout                          = "3600s"
    max_instance_request_concurrency = var.concurrency
    labels                           = local.labels

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    dynamic "vpc_access" {
      for_each = var.vpc == null ? [] : [var.vpc]

      content {
        egress = vpc_access.value.egress

        network_interfaces {
          network    = vpc_access.value.network
          subnetwork = vpc_access.value.subnetwork
        }
      }
    }

    containers {
      image = var.image

      ports {
        container_port = 8080
      }

      resources {
        limits            = { cpu = var.cpu, memory = "${var.memory_mib}Mi" }
        cpu_idle          = true # paid while a call is open: all that is to be written is written before the last byte
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = local.settings

        content {
          name  = env.key
          value = env.value
        }
      }

      # Neither asks for the store: an outage of Firestore must not end instances that know their keys.
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 60

        http_get {
          path = "/livez"
        }
      }

      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 10
        failure_threshold = 3

        http_get {
          path = "/livez"
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version] # written by whichever tool deployed last
  }

  depends_on = [
    google_project_iam_member.store,
    google_secret_manager_secret_iam_member.runtime,
    google_firestore_database.store,
  ]
}

resource "google_storage_bucket" "source" {
  count = local.is_function ? 1 : 0

  name                        = "${var.project_id}-${var.name}-source"
  location                    = upper(var.region)
  labels                      = local.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # only what `git archive` can make again

  depends_on = [google_project_service.apis]
}

resource "google_storage_bucket_object" "source" {
  count = local.is_function ? 1 : 0

  bucket = google_storage_bucket.source[0].name
  name   = "${filesha256(var.function_source_zip)}.zip"
  source = var.function_source_zip
}

resource "google_cloudfunctions2_function" "gateway" {
  count = local.is_function ? 1 : 0

  name        = var.name
  location    = var.region
  description = "LLM gateway"
  labels      = local.labels

  build_config {
    runtime           = var.function_runtime
    entry_point       = "gateway"
    service_account   = google_service_account.builder.id
    docker_repository = google_artifact_registry_repository.images.id

    source {
      storage_source {
        bucket = google_storage_bucket.source[0].name
        object = google_storage_bucket_object.source[0].name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.runtime.email
    timeout_seconds                  = 3600
    available_cpu                    = var.cpu
    available_memory                 = "${var.memory_mib}Mi"
    max_instance_request_concurrency = var.concurrency
    min_instance_count               = var.min_instances
    max_instance_count               = var.max_instances
    ingress_settings                 = local.function_ingress[local.ingress]
    all_traffic_on_latest_revision   = true

    # A thread for each call, and some for probes: the framework's own figure, four per CPU, lets streams queue.
    environment_variables = merge(local.settings, { THREADS = tostring(var.concurrency + 8) })
  }

  depends_on = [
    google_project_iam_member.store,
    google_project_iam_member.roles,
    google_artifact_registry_repository_iam_member.builder,
    google_secret_manager_secret_iam_member.runtime,
    google_firestore_database.store,
  ]
}

locals {
  function_ingress = {
    INGRESS_TRAFFIC_ALL                    = "ALLOW_ALL"
    INGRESS_TRAFFIC_INTERNAL_ONLY          = "ALLOW_INTERNAL_ONLY"
    INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER = "ALLOW_INTERNAL_AND_GCLB"
  }
}
