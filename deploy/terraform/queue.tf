# Kafka on MSK: three brokers in three zones, in place of components/strimzi.
#
# Brokers listen with TLS alone, and know programs by the roles of their service accounts: there is no
# password. What is at rest, and what goes between brokers, is encrypted, too.

locals {
  replicas = 3
  day_ms   = 24 * 60 * 60 * 1000

  # As topics.yaml of components/strimzi has them. Partitions can be added, and never taken away.
  topics = {
    media       = { partitions = 6, retention_days = 7 }
    predictions = { partitions = 12, retention_days = 7 }
    dead-letter = { partitions = 1, retention_days = 30 }
  }

  # What programs do with topics, by service account, as users.yaml of components/strimzi has it. The
  # code server, of `object-store`, stands for `visionops dead-letters replay`, too.
  queue_access = {
    relay        = { read = [], write = ["media", "dead-letter"] }
    triton       = { read = [], write = ["predictions"] }
    object-store = { read = keys(local.topics), write = ["media", "predictions"] }
    dagster-step = { read = keys(local.topics), write = [] }
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
  description                  = "Kafka, with TLS and IAM, from the cluster."
  referenced_security_group_id = var.cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 9098
  to_port                      = 9098
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
    unauthenticated = false

    sasl {
      iam = true
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = var.kms_key_arn

    encryption_in_transit {
      client_broker = "TLS"
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

data "aws_iam_policy_document" "queue_access" {
  for_each = var.create_queue ? local.queue_access : {}

  statement {
    sid = "Connect"
    # That a producer is idempotent is a right in the cluster, not in a topic.
    actions   = ["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"]
    resources = [aws_msk_cluster.this[0].arn]
  }

  dynamic "statement" {
    for_each = length(each.value.read) > 0 ? [each.value.read] : []

    content {
      sid     = "Read"
      actions = ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"]
      resources = [
        for topic in statement.value :
        "${replace(aws_msk_cluster.this[0].arn, ":cluster/", ":topic/")}/${topic}"
      ]
    }
  }

  dynamic "statement" {
    for_each = length(each.value.write) > 0 ? [each.value.write] : []

    content {
      sid     = "Write"
      actions = ["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"]
      resources = [
        for topic in statement.value :
        "${replace(aws_msk_cluster.this[0].arn, ":cluster/", ":topic/")}/${topic}"
      ]
    }
  }
}

resource "aws_iam_role_policy" "queue" {
  for_each = var.create_queue ? local.queue_access : {}

  name   = "queue"
  role   = aws_iam_role.program[each.key].id
  policy = data.aws_iam_policy_document.queue_access[each.key].json
}
