# When somebody should look. Every policy says in its text what to look at and what to do.

locals {
  own_metric = "logging_googleapis_com:user_${local.metric_label}"
  of_run     = "monitored_resource=\"cloud_run_revision\",service_name=\"${var.name}\""

  alerts = merge(
    {
      failing = {
        title    = "more than 5 % of calls fail"
        severity = "ERROR"
        for      = "300s"
        query    = "sum(rate(${local.own_metric}_calls{${local.of_run},status=~\"5..\"}[5m])) / sum(rate(${local.own_metric}_calls{${local.of_run}}[5m])) > 0.05"
        text     = "Statuses of 500 and above, the provider's own included (529 is an overloaded provider). Group the calls by status and provider on the dashboard; then `python -m gateway doctor`."
      }
      slow = {
        title    = "the first token takes more than a minute"
        severity = "WARNING"
        for      = "900s"
        query    = "histogram_quantile(0.95, sum by (le) (rate(${local.own_metric}_ttft_ms_bucket{${local.of_run}}[15m]))) > 60000"
        text     = "One call in twenty waits longer than a minute for its first token. By far the most of it is the provider's time: compare models and locations, and the provider's status page."
      }
      credential = {
        title    = "the provider refuses the gateway's credential"
        severity = "CRITICAL"
        for      = "0s"
        query    = "sum by (provider) (increase(${local.own_metric}_credential_refused{${local.of_run}}[10m])) > 3"
        text     = "401: the key was revoked, or the clock is off. 403: the account lacks roles/aiplatform.user, or the model is not enabled in Model Garden. `python -m gateway provider test NAME` says which, and the command that mends it."
      }
      unpriced = {
        title    = "a model without a price is in use"
        severity = "WARNING"
        for      = "0s"
        query    = "sum by (model) (increase(${local.own_metric}_unpriced{${local.of_run}}[1h])) > 0"
        text     = "Its calls are charged as its family's dearest model, so budgets hold but the figures are too high. Give it a price (GATEWAY_PRICES), or bring the gateway up to date."
      }
      crowded = {
        title    = "nearly all instances are in use"
        severity = "WARNING"
        for      = "300s"
        query    = "max(max_over_time(run_googleapis_com:container_instance_count{${local.of_run},state=\"active\"}[5m])) > ${0.9 * var.max_instances}"
        text     = "Beyond max_instances Cloud Run answers 429 and 500 itself. Raise max_instances."
      }
      memory = {
        title    = "an instance is short of memory"
        severity = "ERROR"
        for      = "300s"
        query    = "histogram_quantile(0.99, sum by (le) (rate(run_googleapis_com:container_memory_utilizations_bucket{${local.of_run}}[5m]))) > 0.9"
        text     = "Cloud Run ends an instance that passes its limit, and every stream on it. Raise memory_mib, or lower concurrency."
      }
    },
    var.alert_usd_per_hour == null ? {} : {
      spending = {
        title    = "calls cost more than ${var.alert_usd_per_hour} dollars an hour"
        severity = "WARNING"
        for      = "0s"
        query    = "sum(increase(${local.own_metric}_cost_nanodollars_sum{${local.of_run}}[1h])) / 1e9 > ${var.alert_usd_per_hour}"
        text     = "`python -m gateway usage report --since 2h --group-by user,model` says whose calls they are; `budget set` caps them."
      }
    },
  )
}

resource "google_monitoring_notification_channel" "emails" {
  for_each = var.alert_emails

  display_name = "${var.name}: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
  user_labels  = local.labels

  depends_on = [google_project_service.apis]
}

resource "google_monitoring_alert_policy" "alerts" {
  for_each = local.alerts

  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = [for channel in google_monitoring_notification_channel.emails : channel.id]
  user_labels           = local.labels

  conditions {
    display_name = each.value.title

    condition_prometheus_query_language {
      query               = each.value.query
      duration            = each.value.for
      evaluation_interval = "60s"

      # Until the first call there is no such series.
      disable_metric_validation = true
    }
  }

  documentation {
    content   = each.value.text
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "3600s"
  }

  depends_on = [google_logging_metric.counted, google_logging_metric.measured]
}

resource "google_monitoring_alert_policy" "sweep" {
  count = local.swept ? 1 : 0

  display_name          = "${var.name}: the sweep fails"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = [for channel in google_monitoring_notification_channel.emails : channel.id]
  user_labels           = local.labels

  conditions {
    display_name = "the scheduler's job ends with an error"

    condition_matched_log {
      filter = "resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=\"${google_cloud_scheduler_job.sweep[0].name}\" AND severity>=ERROR"
    }
  }

  documentation {
    content   = "401: GATEWAY_PUBLIC_URL is not the audience of the job's token, or GATEWAY_SWEEP_EMAIL not its account. 503: the store is away. Until it works, alerts that failed are not sent again."
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "3600s"

    notification_rate_limit {
      period = "3600s"
    }
  }
}

resource "google_monitoring_alert_policy" "unreachable" {
  count = local.watched ? 1 : 0

  display_name          = "${var.name}: not reachable"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = [for channel in google_monitoring_notification_channel.emails : channel.id]
  user_labels           = local.labels

  conditions {
    display_name = "/livez does not answer two of three continents"

    condition_threshold {
      filter          = "metric.type=\"monitoring.googleapis.com/uptime_check/check_passed\" AND resource.type=\"uptime_url\" AND metric.labels.check_id=\"${google_monitoring_uptime_check_config.livez[0].uptime_check_id}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 1
      duration        = "300s"

      aggregations {
        alignment_period     = "600s"
        per_series_aligner   = "ALIGN_NEXT_OLDER"
        cross_series_reducer = "REDUCE_COUNT_FALSE"
        group_by_fields      = ["resource.label.host"]
      }
    }
  }

  documentation {
    content   = "Look at the newest revision in the console: one that does not start says in its log which setting is wrong. `gcloud run services update-traffic ${var.name} --region ${var.region} --to-revisions REVISION=100` goes back to an older one."
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "3600s"
  }
}
