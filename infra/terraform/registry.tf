# Where images lie: the last ten stay, what is older than a month and bears no tag goes.

resource "google_artifact_registry_repository" "images" {
  location               = var.region
  repository_id          = var.name
  description            = "Images of ${var.name}"
  format                 = "DOCKER"
  labels                 = local.labels
  cleanup_policy_dry_run = false

  cleanup_policies {
    id     = "keep-the-last-ten"
    action = "KEEP"

    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-old-untagged"
    action = "DELETE"

    condition {
      tag_state  = "UNTAGGED"
      older_than = "2592000s"
    }
  }

  depends_on = [google_project_service.apis]
}
