# The sweep: reconciles what lost instances left behind and sends alerts that failed. It proves who it is with a Google token.
# Behind an invoker check there is none: Cloud Run takes the signature off the token before the gateway sees it.

resource "google_cloud_scheduler_job" "sweep" {
  count = local.swept ? 1 : 0

  name             = "${var.name}-sweep"
  region           = coalesce(var.scheduler_region, var.region)
  description      = "POST /admin/v1/sweep: reconcile what expired, resend failed alerts"
  schedule         = var.sweep_schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "300s"

  retry_config {
    retry_count          = 2
    min_backoff_duration = "10s"
  }

  http_target {
    uri         = "${local.own_url}/admin/v1/sweep" # where Cloud Run lets the scheduler in whatever the ingress
    http_method = "POST"

    oidc_token {
      service_account_email = google_service_account.sweeper.email
      audience              = local.public_url
    }
  }

  depends_on = [google_project_service.apis]
}
