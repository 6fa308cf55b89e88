# PostgreSQL on RDS, with a standby in another zone and the way back to any moment of some days.
#
# RDS makes one database and one master user, whose password it keeps in Secrets Manager and changes by
# itself; no program of ours uses it. Databases and users of ours are made by databases.sql, once, from
# within the VPC: Terraform would need a way into the private subnets, and passwords in its state.

resource "aws_db_subnet_group" "this" {
  count = var.create_database ? 1 : 0

  name        = var.name
  description = "Private subnets of the database."
  subnet_ids  = var.private_subnet_ids
}

resource "aws_security_group" "database" {
  count = var.create_database ? 1 : 0

  name        = "${var.name}-database"
  description = "PostgreSQL, for the cluster alone."
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count = var.create_database ? 1 : 0

  security_group_id            = aws_security_group.database[0].id
  description                  = "PostgreSQL from the cluster."
  referenced_security_group_id = var.cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_parameter_group" "this" {
  count = var.create_database ? 1 : 0

  name        = "${var.name}-postgres18"
  description = "TLS alone; says what was slow."
  family      = "postgres18"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "this" {
  count = var.create_database ? 1 : 0

  identifier     = var.name
  engine         = "postgres"
  instance_class = var.database_class
  # The major version of the images' pg_dump, which refuses a newer server. RDS takes its newest minor.
  engine_version             = "18"
  auto_minor_version_upgrade = true

  allocated_storage     = var.database_storage_gib.initial
  max_allocated_storage = var.database_storage_gib.max
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  username                      = "postgres"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn

  multi_az               = true
  publicly_accessible    = false
  db_subnet_group_name   = aws_db_subnet_group.this[0].name
  vpc_security_group_ids = [aws_security_group.database[0].id]
  parameter_group_name   = aws_db_parameter_group.this[0].name

  backup_retention_period   = var.database_backup_days
  backup_window             = "00:30-01:30"
  maintenance_window        = "sun:03:30-sun:05:00"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  deletion_protection       = true
  skip_final_snapshot       = false
  final_snapshot_identifier = "${var.name}-final"

  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arn

  lifecycle {
    prevent_destroy = true
  }
}
