# Figures out of the gateway's own log lines, one for each call, and what must not be kept of Cloud Run's request log.
# The fields are those of the usage document (gateway/records/document.py).

locals {
  own_lines = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\""

  # A settled call has its document's fields; a refusal at the door has none of them. Counting tokens is no call.
  calls = "${local.own_lines} AND jsonPayload.schema_version>=1 AND NOT jsonPayload.operation=\"count_tokens\""

  counted = {
    calls = {
      description = "Calls by how they ended"
      filter      = local.calls
      labels      = { status = "status", model = "model", provider = "provider", dialect = "dialect" }
    }
    refused = {
      description = "Refused at the door: keys, unknown paths, bodies, the store away"
      filter      = "${local.own_lines} AND jsonPayload.request_id:* AND jsonPayload.status>=400 AND NOT jsonPayload.schema_version:*"
      labels      = { status = "status" }
    }
    credential_refused = {
      description = "Attempts that a provider refused the gateway's own credential for"
      filter      = "${local.calls} AND jsonPayload.attempts.status=(401 OR 403)"
      labels      = { provider = "provider" }
    }
    unpriced = {
      description = "Calls of a model that the price list does not know; they are charged its family's dearest"
      filter      = "${local.calls} AND jsonPayload.price_known=false"
      labels      = { model = "model" }
    }
    estimated = {
      description = "Calls whose usage is a guess, after a broken stream or a lost instance"
      filter      = "${local.calls} AND jsonPayload.completeness=\"estimated\""
      labels      = { model = "model" }
    }
  }

  # No label for projects, users or keys: Google charges distributions by the series, 80 bytes a minute each, and would take
  # hundreds of dollars for what `usage report` tells for nothing.
  measured = {
    cost_nanodollars  = { description = "Cost of calls", unit = "1", field = "cost_nanodollars", labels = ["model"] }
    ttft_ms           = { description = "Time to the first token", unit = "ms", field = "ttft_ms", labels = ["model"] }
    latency_ms        = { description = "Time to the last byte", unit = "ms", field = "latency_ms", labels = ["model"] }
    input_tokens      = { description = "Input tokens that no cache served", unit = "1", field = "tokens.input", labels = [] }
    output_tokens     = { description = "Output tokens", unit = "1", field = "tokens.output", labels = [] }
    cache_read_tokens = { description = "Input tokens read from the provider's cache", unit = "1", field = "tokens.cache_read", labels = [] }
  }
}

resource "google_logging_metric" "counted" {
  for_each = local.counted

  name             = "${var.name}/${each.key}"
  description      = each.value.description
  filter           = each.value.filter
  label_extractors = { for label, field in each.value.labels : label => "EXTRACT(jsonPayload.${field})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }

  depends_on = [google_project_service.apis]
}

resource "google_logging_metric" "measured" {
  for_each = local.measured

  name            = "${var.name}/${each.key}"
  description     = each.value.description
  filter          = "${local.calls} AND jsonPayload.${each.value.field}>=0"
  value_extractor = "EXTRACT(jsonPayload.${each.value.field})"

  label_extractors = { for label in each.value.labels : label => "EXTRACT(jsonPayload.${label})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit

    dynamic "labels" {
      for_each = each.value.labels

      content {
        key        = labels.value
        value_type = "STRING"
      }
    }
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 64
      growth_factor      = 1.5
      scale              = 1
    }
  }

  depends_on = [google_project_service.apis]
}

# Cloud Run writes every request's URL down, and a client may put its key there, whether the gateway takes it or not.
resource "google_logging_project_exclusion" "query_keys" {
  name        = "${var.name}-query-keys"
  description = "Request log lines whose URL bears a key"
  filter      = "${local.own_lines} AND httpRequest.requestUrl=~\"[?&](key|api_key|access_token)=\""

  depends_on = [google_project_service.apis]
}
