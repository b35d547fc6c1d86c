# What is looked at: an uptime check on /livez (/healthz would be Google's own front end), and the dashboard, which is data.

resource "google_monitoring_uptime_check_config" "livez" {
  count = local.watched ? 1 : 0

  display_name     = "${var.name} /livez"
  timeout          = "10s" # a cold start is a second or two
  period           = "300s"
  selected_regions = ["USA", "EUROPE", "ASIA_PACIFIC"]

  http_check {
    path         = "/livez"
    port         = 443
    use_ssl      = true
    validate_ssl = true

    accepted_response_status_codes {
      status_value = 200
    }
  }

  monitored_resource {
    type = "uptime_url"

    labels = {
      project_id = var.project_id
      host       = local.url_host
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_monitoring_dashboard" "gateway" {
  dashboard_json = templatefile("${path.module}/dashboard.json", { name = var.name, metric = local.own_metric })

  depends_on = [google_logging_metric.counted, google_logging_metric.measured]
}
