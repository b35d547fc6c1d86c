# What the other files share: names, labels, addresses, and the APIs that everything stands on.

locals {
  labels       = merge(var.labels, { app = var.name, made-by = "terraform" })
  open         = var.access == "open"
  is_function  = var.runtime == "function"
  balanced     = var.domain != null && var.domain_through == "load_balancer"
  vertex_to    = var.vertex_project == null ? var.project_id : var.vertex_project
  keyless      = local.vertex_to != "" && !var.vertex_key_file
  metric_label = replace(var.name, "-", "_") # PromQL knows no hyphens in names

  # Known before anything is made, so that the service can be told its own address.
  own_url    = "https://${var.name}-${data.google_project.this.number}.${var.region}.run.app"
  public_url = var.domain == null ? local.own_url : "https://${var.domain}"
  url_host   = trimprefix(local.public_url, "https://")

  ingress = local.balanced && var.ingress == "INGRESS_TRAFFIC_ALL" && var.access == "iap" ? "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" : var.ingress

  # The scheduler comes in from anywhere, but has only the one token, and an invoker check takes its signature off.
  swept = local.open

  # The uptime check comes over the internet, without any token.
  watched = local.open && var.ingress == "INGRESS_TRAFFIC_ALL" && var.uptime_check

  apis = concat([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    ],
    local.vertex_to == var.project_id ? ["aiplatform.googleapis.com"] : [],
    local.is_function ? ["cloudfunctions.googleapis.com", "storage.googleapis.com"] : [],
    local.balanced ? ["compute.googleapis.com"] : [],
    var.access == "iap" ? ["iap.googleapis.com"] : [],
    var.telemetry ? ["telemetry.googleapis.com"] : [],
    var.pipeline ? ["ondemandscanning.googleapis.com", "containeranalysis.googleapis.com"] : [],
    var.billing_account == null ? [] : ["billingbudgets.googleapis.com"],
  )
}

data "google_project" "this" {
  project_id = var.project_id
}

resource "google_project_service" "apis" {
  for_each = toset(local.apis)

  service            = each.key
  disable_on_destroy = false # others in the project may use them
}
