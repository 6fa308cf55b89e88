# Kafka on MSK: three brokers in three zones, in place of components/strimzi.
#
# Our programs speak Kafka without TLS and without a password, so the brokers also listen in plain text:
# whoever is in the cluster's security group and gets by its network policies may read and write. What is
# at rest, and what goes between brokers, is encrypted.

locals {
  replicas = 3
  day_ms   = 24 * 60 * 60 * 1000

  # As topics.yaml of components/strimzi has them. Partitions can be added, and never taken away.
  topics = {
    media       = { partitions = 6, retention_days = 7 }
    predictions = { partitions = 12, retention_days = 7 }
    dead-letter = { partitions = 1, retention_days = 30 }
  }
}

resource "aws_security_group" "queue" {
  count = var.create_queue ? 1 : 0

  name        = "${var.name}-queue"
  description = "Kafka, for the cluster alone."
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "queue" {
  count = var.create_queue ? 1 : 0

  security_group_id            = aws_security_group.queue[0].id
  description                  = "Kafka in plain text from the cluster."
  referenced_security_group_id = var.cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 9092
  to_port                      = 9092
}

resource "aws_cloudwatch_log_group" "queue" {
  count = var.create_queue ? 1 : 0

  name              = "/aws/msk/${var.name}"
  retention_in_days = 30
}

resource "aws_msk_configuration" "this" {
  count = var.create_queue ? 1 : 0

  name = var.name

  # An acknowledged event is on two brokers at least, and no broker that lacks it comes to lead. A topic
  # that is misspelt is an error.
  server_properties = <<-EOT
    auto.create.topics.enable=false
    default.replication.factor=${local.replicas}
    min.insync.replicas=2
    offsets.topic.replication.factor=${local.replicas}
    transaction.state.log.replication.factor=${local.replicas}
    transaction.state.log.min.isr=2
    unclean.leader.election.enable=false
  EOT

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_msk_cluster" "this" {
  count = var.create_queue ? 1 : 0

  cluster_name           = var.name
  kafka_version          = "4.1.x.kraft"
  number_of_broker_nodes = local.replicas
  enhanced_monitoring    = "PER_TOPIC_PER_BROKER"

  broker_node_group_info {
    instance_type   = var.broker_class
    client_subnets  = var.private_subnet_ids
    security_groups = [aws_security_group.queue[0].id]

    storage_info {
      ebs_storage_info {
        volume_size = var.broker_storage_gib
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this[0].arn
    revision = aws_msk_configuration.this[0].latest_revision
  }

  client_authentication {
    unauthenticated = true
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = var.kms_key_arn

    encryption_in_transit {
      client_broker = "TLS_PLAINTEXT"
      in_cluster    = true
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.queue[0].name
      }
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

# By the API of MSK, so that no way into the private subnets is needed.
resource "aws_msk_topic" "this" {
  for_each = var.create_queue ? local.topics : {}

  name               = each.key
  cluster_arn        = aws_msk_cluster.this[0].arn
  partition_count    = each.value.partitions
  replication_factor = local.replicas

  configs = jsonencode({
    "retention.ms" = tostring(each.value.retention_days * local.day_ms)
  })
}
