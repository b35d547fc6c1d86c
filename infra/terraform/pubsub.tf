# Budget alerts as messages: the gateway publishes here when a budget passes one of its marks. Subscribe what should act on them.

resource "google_pubsub_topic" "alerts" {
  name                       = "${var.name}-budget-alerts"
  labels                     = local.labels
  message_retention_duration = "604800s"

  depends_on = [google_project_service.apis]
}

# Google's own budget over the project's bill, if asked for: it comes a day late and knows no users, but misses nothing.
resource "google_billing_budget" "project" {
  count = var.billing_account == null ? 0 : 1

  billing_account = var.billing_account
  display_name    = "${var.name}: ${var.project_id}"

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }

  amount {
    specified_amount {
      currency_code = "USD"
      units         = tostring(var.billing_budget_usd)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.8, 1.0]

    content {
      threshold_percent = threshold_rules.value
    }
  }

  all_updates_rule {
    pubsub_topic = google_pubsub_topic.alerts.id
  }

  depends_on = [google_project_service.apis]
}
