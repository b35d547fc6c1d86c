# A name of yours, by variable: through Cloud Run's own mapping, or a load balancer, which may have Identity-Aware Proxy in front.

resource "google_cloud_run_domain_mapping" "domain" {
  count = var.domain != null && var.domain_through == "mapping" ? 1 : 0

  name     = var.domain
  location = var.region

  metadata {
    namespace = var.project_id
  }

  spec {
    route_name = local.service_name
  }
}

resource "google_compute_global_address" "gateway" {
  count = local.balanced ? 1 : 0

  name = var.name

  depends_on = [google_project_service.apis]
}

resource "google_compute_region_network_endpoint_group" "gateway" {
  count = local.balanced ? 1 : 0

  name                  = var.name
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = local.service_name
  }
}

resource "google_compute_backend_service" "gateway" {
  count = local.balanced ? 1 : 0

  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"

  backend {
    group = google_compute_region_network_endpoint_group.gateway[0].id
  }

  dynamic "iap" {
    for_each = var.access == "iap" ? [true] : []

    content {
      enabled = true
    }
  }

  log_config {
    enable = false # Cloud Run logs each request already
  }
}

resource "google_compute_url_map" "gateway" {
  count = local.balanced ? 1 : 0

  name            = var.name
  default_service = google_compute_backend_service.gateway[0].id
}

resource "google_compute_managed_ssl_certificate" "gateway" {
  count = local.balanced ? 1 : 0

  name = var.name

  managed {
    domains = [var.domain]
  }

  depends_on = [google_project_service.apis]
}

resource "google_compute_target_https_proxy" "gateway" {
  count = local.balanced ? 1 : 0

  name             = var.name
  url_map          = google_compute_url_map.gateway[0].id
  ssl_certificates = [google_compute_managed_ssl_certificate.gateway[0].id]
}

resource "google_compute_global_forwarding_rule" "gateway" {
  count = local.balanced ? 1 : 0

  name                  = var.name
  target                = google_compute_target_https_proxy.gateway[0].id
  ip_address            = google_compute_global_address.gateway[0].id
  port_range            = "443"
  load_balancing_scheme = "EXTERNAL_MANAGED"
}

resource "google_iap_web_backend_service_iam_member" "invokers" {
  for_each = var.access == "iap" ? var.invokers : []

  web_backend_service = google_compute_backend_service.gateway[0].name
  role                = "roles/iap.httpsResourceAccessor"
  member              = each.key
}
