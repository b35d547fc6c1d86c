# What may be chosen. Only project_id, region and image (or function_source_zip) are needed; docs/deploy.md argues the defaults.

# --- where

variable "project_id" {
  description = "The Google Cloud project that everything is made in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id is the project's id (6 to 30 of a-z, 0-9 and -), not its name or number; `gcloud projects list` shows it."
  }
}

variable "region" {
  description = "Region of Cloud Run, the images and the scheduler, such as europe-west1."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region should be a region such as europe-west1 or us-east5; `gcloud run regions list` shows them."
  }
}

variable "name" {
  description = "Name of the service, and the beginning of every other name. A second deployment in a project needs another name and a database of its own."
  type        = string
  default     = "tollgate"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name should be 3 to 20 of a-z, 0-9 and -, beginning with a letter: service account ids have room for no more."
  }
}

variable "labels" {
  description = "Labels of everything that can have them."
  type        = map(string)
  default     = {}
  nullable    = false
}

# --- what runs

variable "runtime" {
  description = "`service`: a Cloud Run service from an image. `function`: a Cloud Run function (2nd gen) from source; it cannot end streams honestly at SIGTERM."
  type        = string
  default     = "service"
  nullable    = false

  validation {
    condition     = contains(["service", "function"], var.runtime)
    error_message = "runtime should be `service` or `function`."
  }
}

variable "image" {
  description = "Image of the service, best by digest: REGION-docker.pkg.dev/PROJECT/tollgate/gateway@sha256:… Needed for runtime `service`."
  type        = string
  default     = null

  validation {
    condition     = var.runtime != "service" || try(length(var.image) > 0, false)
    error_message = "image is needed for runtime `service`; docs/deploy.md says how to build one."
  }
}

variable "function_source_zip" {
  description = "Path of a zip of the source, as `git archive --format=zip HEAD` makes it. Needed for runtime `function`."
  type        = string
  default     = null

  validation {
    condition     = var.runtime != "function" || try(endswith(var.function_source_zip, ".zip"), false)
    error_message = "function_source_zip is needed for runtime `function`: git archive --format=zip --output=tollgate.zip HEAD"
  }
}

variable "function_runtime" {
  description = "Python of the function, as `gcloud functions runtimes list` names it."
  type        = string
  default     = "python313"
  nullable    = false

  validation {
    condition     = contains(["python311", "python312", "python313"], var.function_runtime)
    error_message = "function_runtime should be python311, python312 or python313."
  }
}

# --- size

variable "cpu" {
  description = "vCPUs of an instance. One process uses little more than one."
  type        = string
  default     = "1"
  nullable    = false

  validation {
    condition     = contains(["1", "2", "4"], var.cpu)
    error_message = "cpu should be 1, 2 or 4: below one vCPU Cloud Run gives an instance one request at a time."
  }
}

variable "memory_mib" {
  description = "Memory of an instance in MiB."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.memory_mib >= 256 && var.memory_mib <= 8192 && var.memory_mib == floor(var.memory_mib)
    error_message = "memory_mib should be a whole number from 256 to 8192."
  }
}

variable "concurrency" {
  description = "Open calls on one instance before Cloud Run starts another. A stream is an open call from its first to its last byte."
  type        = number
  default     = 250
  nullable    = false

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 1000 && var.concurrency == floor(var.concurrency)
    error_message = "concurrency should be a whole number from 1 to 1000, which is Cloud Run's limit."
  }
}

variable "min_instances" {
  description = "Instances that are kept, and paid for, while nobody calls."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.min_instances >= 0 && var.min_instances <= 100 && var.min_instances == floor(var.min_instances)
    error_message = "min_instances should be a whole number from 0 to 100."
  }
}

variable "max_instances" {
  description = "The most instances, and so the most that can be spent on them."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000 && var.max_instances >= var.min_instances
    error_message = "max_instances should be from 1 to 1000, and no less than min_instances."
  }
}

# --- who comes in, and how

variable "access" {
  description = "`open`: gateway keys decide alone. `iam`: Cloud Run asks for a Google identity first. `iap`: a load balancer with Identity-Aware Proxy does; needs domain."
  type        = string
  default     = "open"
  nullable    = false

  validation {
    condition     = contains(["open", "iam", "iap"], var.access)
    error_message = "access should be `open`, `iam` or `iap`."
  }
}

variable "invokers" {
  description = "Who may pass where access is `iam` or `iap`, such as group:eng@example.com."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for who in var.invokers : can(regex("^(user|group|serviceAccount|domain|principal|principalSet):.+", who))])
    error_message = "invokers should be IAM members such as group:eng@example.com; allUsers is access = \"open\"."
  }

  validation {
    condition     = var.access == "open" || length(var.invokers) > 0
    error_message = "access is closed and invokers is empty: nobody could come in. Name at least one, such as group:eng@example.com."
  }
}

variable "ingress" {
  description = "Which networks reach the service's own URL."
  type        = string
  default     = "INGRESS_TRAFFIC_ALL"
  nullable    = false

  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"], var.ingress)
    error_message = "ingress should be INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  }
}

variable "vpc" {
  description = "Network and subnetwork that calls to providers leave through, for a fixed address or a private endpoint."
  type = object({
    network    = string
    subnetwork = string
    egress     = optional(string, "PRIVATE_RANGES_ONLY")
  })
  default = null

  validation {
    condition     = var.vpc == null || contains(["ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"], try(var.vpc.egress, ""))
    error_message = "vpc.egress should be ALL_TRAFFIC or PRIVATE_RANGES_ONLY."
  }

  validation {
    condition     = var.vpc == null || var.runtime == "service"
    error_message = "vpc is offered for runtime `service` alone: a function reaches a network through a connector, which is always on."
  }
}

variable "domain" {
  description = "A name of yours for the gateway, such as llm.example.com. You point its DNS at what the output dns_records says."
  type        = string
  default     = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain should be a host name such as llm.example.com, without https:// and without a path."
  }

  validation {
    condition     = var.domain != null || var.access != "iap"
    error_message = "access `iap` goes through a load balancer and needs domain."
  }
}

variable "domain_through" {
  description = "`mapping`: Cloud Run's own, free, in some regions only. `load_balancer`: everywhere, from about 18 dollars a month."
  type        = string
  default     = "mapping"
  nullable    = false

  validation {
    condition     = contains(["mapping", "load_balancer"], var.domain_through)
    error_message = "domain_through should be `mapping` or `load_balancer`."
  }

  validation {
    condition     = var.access != "iap" || var.domain_through == "load_balancer"
    error_message = "access `iap` needs domain_through = \"load_balancer\"."
  }
}

# --- the store

variable "create_database" {
  description = "false: the Firestore database exists already; its indexes and TTL policies are made all the same."
  type        = bool
  default     = true
  nullable    = false
}

variable "database" {
  description = "Name of the Firestore database. The free daily quota is that of `(default)`."
  type        = string
  default     = "(default)"
  nullable    = false

  validation {
    condition     = var.database == "(default)" || can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.database))
    error_message = "database should be (default), or 4 to 63 of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "database_location" {
  description = "Where the database lies: a region, or nam5 or eur3 for several. It cannot be changed later. Default: region."
  type        = string
  default     = null

  validation {
    condition     = var.database_location == null || can(regex("^(nam[57]|eur3|[a-z]+-[a-z]+[0-9]{1,2})$", var.database_location))
    error_message = "database_location should be a region, nam5, nam7 or eur3."
  }
}

variable "keep_database" {
  description = "true: destroying this configuration leaves the database and refuses its deletion. false: for demos."
  type        = bool
  default     = true
  nullable    = false
}

variable "point_in_time_recovery" {
  description = "Keep seven days of versions, at the price of the storage they take."
  type        = bool
  default     = false
  nullable    = false
}

variable "backup_retention_days" {
  description = "How long daily backups are kept; 0 makes none."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.backup_retention_days >= 0 && var.backup_retention_days <= 98 && var.backup_retention_days == floor(var.backup_retention_days)
    error_message = "backup_retention_days should be a whole number from 0 to 98 (14 weeks, Firestore's limit)."
  }
}

# --- Vertex AI

variable "vertex_project" {
  description = "Project that Vertex AI calls are billed to. Default: project_id. Empty: no provider from settings; add them through the admin API."
  type        = string
  default     = null

  validation {
    condition     = var.vertex_project == null || var.vertex_project == "" || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.vertex_project))
    error_message = "vertex_project should be a project's id, or empty."
  }
}

variable "vertex_location" {
  description = "Where Vertex AI answers: `global`, `us`, `eu` or a region."
  type        = string
  default     = "global"
  nullable    = false

  validation {
    condition     = can(regex("^(global|us|eu|[a-z]+(-[a-z]+)+[0-9]{1,2})$", var.vertex_location))
    error_message = "vertex_location should be global, us, eu or a region such as us-east5."
  }
}

variable "vertex_key_file" {
  description = "true: call Vertex AI with a service-account key from Secret Manager. false: as the runtime account, without any key."
  type        = bool
  default     = false
  nullable    = false
}

# --- secrets

variable "admin_key" {
  description = "Value of the admin key, at least 32 characters. Kept out of state and plan. Leave it out and add the value by command (output next_steps)."
  type        = string
  default     = null
  sensitive   = true
  ephemeral   = true

  validation {
    condition     = var.admin_key == null || try(length(var.admin_key) >= 32, false)
    error_message = "admin_key should have at least 32 characters, such as `openssl rand -base64 32` prints."
  }
}

variable "admin_key_version" {
  description = "Raise it to store admin_key as a new version; 0: the value comes by command."
  type        = number
  default     = 0
  nullable    = false
}

variable "vertex_key_json" {
  description = "Value of the service-account key for Vertex AI. Kept out of state and plan."
  type        = string
  default     = null
  sensitive   = true
  ephemeral   = true
}

variable "vertex_key_version" {
  description = "Raise it to store vertex_key_json as a new version; 0: the value comes by command."
  type        = number
  default     = 0
  nullable    = false
}

variable "secrets" {
  description = "Further secrets that the gateway may read, such as anthropic-api-key: made empty, named in the output secret_references."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for secret in var.secrets : can(regex("^[a-z][a-z0-9-]{0,60}$", secret)) && !contains(["admin-key", "vertex-key"], secret)])
    error_message = "secrets should be names of a-z, 0-9 and -; admin-key and vertex-key are made already."
  }
}

variable "secret_locations" {
  description = "Regions that secret values stay in. Default: where Google keeps them."
  type        = list(string)
  default     = []
  nullable    = false
}

# --- settings

variable "settings" {
  description = "Further settings by their environment name (docs/settings.md), such as { GATEWAY_USAGE_RETENTION_DAYS = \"90\" }. No secrets: references to them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for setting, value in var.settings : can(regex("^(GATEWAY|VERTEX|OTEL)_[A-Z_]+$", setting))])
    error_message = "settings should be named GATEWAY_…, VERTEX_… or OTEL_…; see docs/settings.md."
  }

  validation {
    condition = length(setintersection(keys(var.settings), [
      "GATEWAY_STORE", "GATEWAY_ADMIN_KEY", "GATEWAY_PUBLIC_URL", "GATEWAY_SWEEP_EMAIL", "GATEWAY_ALERT_TOPIC",
      "VERTEX_SERVICE_ACCOUNT_JSON", "VERTEX_PROJECT_ID", "VERTEX_REGION",
    ])) == 0
    error_message = "settings names what this configuration sets itself; use the variables (vertex_project, vertex_location, secrets …)."
  }
}

variable "telemetry" {
  description = "Send traces and metrics to Cloud Trace and Cloud Monitoring (docs/telemetry.md). For another collector use settings."
  type        = bool
  default     = false
  nullable    = false
}

variable "sweep_schedule" {
  description = "When the scheduler asks for the sweep, as cron has it, in UTC."
  type        = string
  default     = "*/5 * * * *"
  nullable    = false

  validation {
    condition     = length(split(" ", var.sweep_schedule)) == 5
    error_message = "sweep_schedule should have five fields, such as */5 * * * *."
  }
}

variable "scheduler_region" {
  description = "Where the scheduler's job lies, if Cloud Run's region has no Cloud Scheduler. Default: region."
  type        = string
  default     = null

  validation {
    condition     = var.scheduler_region == null || can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.scheduler_region))
    error_message = "scheduler_region should be a region; `gcloud scheduler locations list` shows them."
  }
}

variable "pipeline" {
  description = "Let the build account scan images and deploy new revisions, as cloudbuild.yaml does. Without it, it can only push images."
  type        = bool
  default     = false
  nullable    = false
}

# --- watching

variable "alert_emails" {
  description = "Who is mailed when an alert policy fires. Empty: incidents are seen in the console alone."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "alert_emails should be e-mail addresses."
  }
}

variable "alert_usd_per_hour" {
  description = "Alert when calls cost more than this within an hour, in US dollars; null: no such alert."
  type        = number
  default     = null

  validation {
    condition     = var.alert_usd_per_hour == null || try(var.alert_usd_per_hour > 0, false)
    error_message = "alert_usd_per_hour should be above 0."
  }
}

variable "uptime_check" {
  description = "Ask /livez from three continents every five minutes. Only where the service is open to the internet."
  type        = bool
  default     = true
  nullable    = false
}

variable "billing_account" {
  description = "Billing account for a budget of Google's own over this project, XXXXXX-XXXXXX-XXXXXX. It reports to the alerts' topic."
  type        = string
  default     = null

  validation {
    condition     = var.billing_account == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account should look like 0123AB-CDEF45-6789AB; `gcloud billing accounts list` shows it."
  }
}

variable "billing_budget_usd" {
  description = "Amount of that budget a month, in whole US dollars."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.billing_budget_usd >= 1 && var.billing_budget_usd == floor(var.billing_budget_usd)
    error_message = "billing_budget_usd should be a whole number from 1."
  }
}
