# Whom the parts act as. What each may do stands in iam.tf.

resource "google_service_account" "runtime" {
  account_id   = "${var.name}-run"
  display_name = "${var.name}: the gateway itself"

  depends_on = [google_project_service.apis]
}

resource "google_service_account" "sweeper" {
  account_id   = "${var.name}-sweep"
  display_name = "${var.name}: the scheduler that asks for the sweep"

  depends_on = [google_project_service.apis]
}

resource "google_service_account" "builder" {
  account_id   = "${var.name}-build"
  display_name = "${var.name}: builds images and functions"

  depends_on = [google_project_service.apis]
}
