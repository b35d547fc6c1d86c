# Which terraform and which provider. 1.11 is the first that keeps write-only arguments (secret values) out of the state.
terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50" # what the tests check against
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}
