# What an installation needs beside its cluster, on AWS: the bucket, the roles of the service accounts,
# and, where wanted, PostgreSQL and Kafka. Cluster and network are given. Where the state is kept is for
# whoever runs this to say, by a backend of their own; it holds no password.

terraform {
  # Validations may look at other variables.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # The first that makes topics of Kafka.
      version = "~> 6.38"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ "app.kubernetes.io/part-of" = "visionops", installation = var.name }, var.tags)
  }
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}
