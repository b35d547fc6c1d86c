# What the next step needs.

locals {
  admin_secret = google_secret_manager_secret.secrets["admin-key"].secret_id
  google_token = "-H \"X-Serverless-Authorization: Bearer $(gcloud auth print-identity-token)\" "
}

output "url" {
  description = "The gateway's address, as clients use it."
  value       = local.public_url
}

output "service_url" {
  description = "The address that Cloud Run itself reports; both work."
  value       = local.is_function ? google_cloudfunctions2_function.gateway[0].service_config[0].uri : google_cloud_run_v2_service.gateway[0].uri
}

output "next_steps" {
  description = "Commands that make the first key: values for the secrets, a project, a key."
  value = join("\n", concat(
    var.admin_key_version > 0 ? [] : [
      "printf %s \"$(openssl rand -base64 32)\" | gcloud secrets versions add ${local.admin_secret} --project ${var.project_id} --data-file=-",
    ],
    !var.vertex_key_file || var.vertex_key_version > 0 ? [] : [
      "gcloud secrets versions add ${google_secret_manager_secret.secrets["vertex-key"].secret_id} --project ${var.project_id} --data-file=./service-account.json",
    ],
    [
      "ADMIN=\"Authorization: Bearer $(gcloud secrets versions access latest --secret ${local.admin_secret} --project ${var.project_id})\"",
      "curl ${local.open ? "" : local.google_token}-H \"$ADMIN\" ${local.public_url}/admin/v1/projects -d '{\"id\":\"demo\"}'",
      "curl ${local.open ? "" : local.google_token}-H \"$ADMIN\" ${local.public_url}/admin/v1/keys -d '{\"project\":\"demo\",\"name\":\"first\"}'",
    ],
  ))
}

output "claude_code" {
  description = "What Claude Code is told, once there is a key. Where access is closed: docs/deploy.md."
  value       = "export ANTHROPIC_BASE_URL=${local.public_url} ANTHROPIC_AUTH_TOKEN=gw-…"
}

output "images" {
  description = "Where images are pushed to."
  value       = "${google_artifact_registry_repository.images.location}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

output "runtime_account" {
  description = "The account that the gateway acts as. For Vertex AI in another project, give it roles/aiplatform.user there."
  value       = google_service_account.runtime.email
}

output "build_account" {
  description = "The account for Cloud Build: gcloud builds submit --service-account."
  value       = google_service_account.builder.id
}

output "secret_references" {
  description = "How settings and providers name each secret."
  value       = { for key, secret in google_secret_manager_secret.secrets : key => "${secret.name}/versions/latest" }
}

output "dns_records" {
  description = "What the domain's DNS has to say."
  value = concat(
    [for mapping in google_cloud_run_domain_mapping.domain : mapping.status],
    [for address in google_compute_global_address.gateway : "${coalesce(var.domain, "-")} A ${address.address}"],
  )
}
