# What an overlay takes from here: `terraform output -json`.

output "settings" {
  description = "Lines of the overlay's settings.env. Without a queue, Kafka's address is that of Strimzi."
  value = merge(
    {
      AWS_REGION                = var.region
      AWS_DEFAULT_REGION        = var.region
      VISIONOPS_S3_ENDPOINT_URL = ""
      VISIONOPS_S3_REGION       = var.region
      VISIONOPS_S3_BUCKET       = aws_s3_bucket.this.id
      PGSSLMODE                 = "verify-full"
      PGSSLROOTCERT             = "/etc/visionops/trust/postgresql.crt"
    },
    { for cluster in aws_msk_cluster.this : "VISIONOPS_KAFKA_BOOTSTRAP_SERVERS" => cluster.bootstrap_brokers_sasl_iam },
    { for cluster in aws_msk_cluster.this : "VISIONOPS_KAFKA_SECURITY_PROTOCOL" => "SASL_SSL" },
    { for cluster in aws_msk_cluster.this : "VISIONOPS_KAFKA_SASL_MECHANISM" => "AWS_MSK_IAM" },
  )
}

output "role_arns" {
  description = "By service account: the annotation eks.amazonaws.com/role-arn in the overlay's roles.yaml."
  value       = { for name, role in aws_iam_role.program : name => role.arn }
}

output "secrets" {
  description = "Names in Secrets Manager, and the properties that secrets.yaml reads of each. To be made by hand: they are no business of a state file."
  value = {
    "visionops/catalog" = ["sqlalchemy_url"]
    "visionops/dagster" = ["sqlalchemy_url"]
    "visionops/mlflow"  = ["sqlalchemy_url"]
    "visionops/triton"  = ["admin_key"]
    "visionops/signing" = ["private_key"]
    "visionops/alerts"  = ["key"]
  }
}

output "database" {
  description = "Address of the database, and where its master's password is. Null without one."
  value = one([
    for server in aws_db_instance.this : {
      host          = server.address
      port          = server.port
      master_user   = server.username
      master_secret = server.master_user_secret[0].secret_arn
    }
  ])
}
