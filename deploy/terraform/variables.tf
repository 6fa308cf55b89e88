# What differs by place. Nothing here is secret.

variable "name" {
  description = "Name of the installation: of its bucket, and what its roles and servers are called after."
  type        = string
  default     = "visionops-production"

  validation {
    # Of a bucket, and short enough for a role and what is added to it.
    condition     = can(regex("^[a-z][a-z0-9-]{2,39}$", var.name))
    error_message = "Lower-case letters, digits and hyphens, 3 to 40 of them, a letter first."
  }
}

variable "region" {
  description = "Region of everything here; the overlay's settings.env names it three times."
  type        = string
  default     = "eu-central-1"
}

variable "namespace" {
  description = "Namespace that the overlay is applied to. Only its service accounts get the roles."
  type        = string
  default     = "visionops"
}

variable "oidc_provider_arn" {
  description = "ARN of the IAM OIDC provider of the EKS cluster, by which its service accounts are known."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/.+$", var.oidc_provider_arn))
    error_message = "Give the ARN of the provider, `arn:aws:iam::<account>:oidc-provider/<issuer>`."
  }
}

variable "kms_key_arn" {
  description = "KMS key of bucket, database and queue. Null: AES256 in the bucket, AWS' own keys elsewhere."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:.+:key/.+$", var.kms_key_arn))
    error_message = "Give the ARN of a key, not of an alias: roles are granted the key itself."
  }
}

variable "noncurrent_version_days" {
  description = "Days that the bucket keeps what was deleted or replaced: how late a mistake may be noticed."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_version_days >= 30
    error_message = "At least 30 days: as long as backups are kept."
  }
}

variable "media_cold_after_days" {
  description = "Days after which media move to Glacier Instant Retrieval, read at once but billed by the read. Null: never."
  type        = number
  default     = null

  validation {
    # Decoded within minutes, and read again after a change of the preprocessing alone.
    condition     = var.media_cold_after_days == null || try(var.media_cold_after_days >= 30, false)
    error_message = "At least 30 days, or null."
  }
}

variable "access_log_bucket" {
  description = "Bucket for the access log of the bucket, in the same region. Null: none is kept."
  type        = string
  default     = null
}

variable "create_database" {
  description = "Whether to make a PostgreSQL server on RDS."
  type        = bool
  default     = false
}

variable "create_queue" {
  description = "Whether to make a Kafka cluster on MSK, in place of Strimzi's within the cluster."
  type        = bool
  default     = false
}

variable "vpc_id" {
  description = "VPC of the cluster. Needed for a database or a queue."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id != null || !(var.create_database || var.create_queue)
    error_message = "A database or a queue needs the VPC of the cluster."
  }
}

variable "private_subnet_ids" {
  description = "Private subnets of that VPC, one in each of three zones. Needed for a database or a queue."
  type        = list(string)
  default     = []

  validation {
    condition = (
      length(distinct(var.private_subnet_ids)) == 3 || !(var.create_database || var.create_queue)
    )
    error_message = "Give three subnets, each in a zone of its own."
  }
}

variable "cluster_security_group_id" {
  description = "Security group of the cluster's nodes or pods: who may reach database and queue, and nobody else."
  type        = string
  default     = null

  validation {
    condition = (
      var.cluster_security_group_id != null || !(var.create_database || var.create_queue)
    )
    error_message = "A database or a queue needs to know who may reach it."
  }
}

variable "database_class" {
  description = "Instance class of the database. `visionops capacity` says what a load needs."
  type        = string
  default     = "db.m7g.large"
}

variable "database_storage_gib" {
  description = "Storage of the database, in GiB: at first, and what it may grow to by itself."
  type        = object({ initial = number, max = number })
  default     = { initial = 100, max = 1000 }

  validation {
    # By less RDS does not grow one.
    condition     = var.database_storage_gib.max >= 1.1 * var.database_storage_gib.initial
    error_message = "The maximum has to be a tenth above the initial size at least."
  }
}

variable "database_backup_days" {
  description = "Days to any moment of which the database can be restored."
  type        = number
  default     = 14

  validation {
    condition     = var.database_backup_days >= 7 && var.database_backup_days <= 35
    error_message = "From 7 to 35 days; RDS keeps no more."
  }
}

variable "broker_class" {
  description = "Instance class of the three brokers. `visionops capacity` says what a load needs."
  type        = string
  default     = "kafka.m7g.large"
}

variable "broker_storage_gib" {
  description = "Storage of each broker, in GiB. It can be made larger, and never smaller."
  type        = number
  default     = 500

  validation {
    condition     = var.broker_storage_gib >= 100
    error_message = "At least 100 GiB: the predictions of seven days carry their images."
  }
}

variable "tags" {
  description = "Tags of everything, beside the two that it has anyway."
  type        = map(string)
  default     = {}
}
