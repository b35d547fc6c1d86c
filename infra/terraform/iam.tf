# Who may do what, and no more: the runtime account reads its own secrets, uses its own database, calls Vertex AI if it needs no key for that.

locals {
  runtime = google_service_account.runtime.member
  builder = google_service_account.builder.member

  # Rights over a whole project, because Google offers no narrower place for them.
  project_roles = merge(
    {
      builder_logs    = { role = "roles/logging.logWriter", member = local.builder, project = var.project_id }
      builder_sources = { role = "roles/storage.objectViewer", member = local.builder, project = var.project_id }
    },
    var.pipeline ? {
      scans    = { role = "roles/ondemandscanning.admin", member = local.builder, project = var.project_id }
      findings = { role = "roles/containeranalysis.occurrences.viewer", member = local.builder, project = var.project_id }
    } : {},
    local.keyless ? { vertex = { role = "roles/aiplatform.user", member = local.runtime, project = local.vertex_to } } : {},
    var.telemetry ? { telemetry = { role = "roles/telemetry.writer", member = local.runtime, project = var.project_id } } : {},
  )
}

resource "google_project_iam_member" "roles" {
  for_each = local.project_roles

  project = each.value.project
  role    = each.value.role
  member  = each.value.member
}

resource "google_project_iam_member" "store" {
  project = var.project_id
  role    = "roles/datastore.user"
  member  = local.runtime

  condition {
    title       = "${var.name}: its own database"
    description = "Other Firestore databases of the project stay closed to the gateway."
    expression  = "resource.name == \"projects/${var.project_id}/databases/${var.database}\" || resource.name.startsWith(\"projects/${var.project_id}/databases/${var.database}/\")"
  }
}

resource "google_secret_manager_secret_iam_member" "runtime" {
  for_each = google_secret_manager_secret.secrets

  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.runtime
}

# A revision runs as the runtime account: whoever deploys one needs leave to use it.
resource "google_service_account_iam_member" "deployer" {
  count = var.pipeline ? 1 : 0

  service_account_id = google_service_account.runtime.id
  role               = "roles/iam.serviceAccountUser"
  member             = local.builder
}

resource "google_cloud_run_v2_service_iam_member" "deployer" {
  count = var.pipeline ? 1 : 0

  location = var.region
  name     = local.service_name
  role     = "roles/run.developer"
  member   = local.builder
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.repository_id
  role       = "roles/artifactregistry.writer"
  member     = local.builder
}

resource "google_pubsub_topic_iam_member" "runtime" {
  topic  = google_pubsub_topic.alerts.id
  role   = "roles/pubsub.publisher"
  member = local.runtime
}

# Whoever comes in by IAM. An open service needs nothing here (invoker_iam_disabled); an open function needs allUsers.
resource "google_cloud_run_v2_service_iam_member" "invokers" {
  for_each = setunion(
    var.access == "iam" ? var.invokers : [],
    var.access == "iap" ? ["serviceAccount:service-${data.google_project.this.number}@gcp-sa-iap.iam.gserviceaccount.com"] : [],
    local.open && local.is_function ? ["allUsers"] : [],
  )

  location = var.region
  name     = local.service_name
  role     = "roles/run.invoker"
  member   = each.key
}
