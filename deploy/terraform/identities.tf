# A role for each service account that touches AWS, for that service account alone. What each may do is
# what its programs do in the code: identities.yaml says which those are.
#
# Nobody but erasure gets s3:DeleteObjectVersion: what another program deletes is there until the lifecycle
# removes it.

locals {
  bucket_arn = aws_s3_bucket.this.arn

  # What programs do below which prefix of the bucket. Who reads may also list, or S3 would answer "not
  # for you" where the code asks whether there is an object.
  access = {
    # ingest, sweep, releaser, dagster-code and `visionops` run there, mlflow, prepare, backup, and the builder of
    # engines.
    object-store = {
      read = [
        "backups", "engine-timings", "exports", "media", "mlflow", "predictions", "releases",
        "snapshots", "triton", "uploads",
      ]
      write = [
        "backups", "dagster", "engine-timings", "exports", "media", "mlflow", "releases", "triton",
        "uploads",
      ]
      # Of exports, releases and timings the manifest, before they are written anew.
      delete = [
        "backups", "engine-timings", "exports", "media", "releases", "triton", "uploads",
      ]
      # The sweep aborts whatever was begun and never ended, by whomever.
      aborts_all = true
      erases     = false
    }
    # Dagster's webserver, daemon and runs, whose steps are pods of their own: what is printed, no more.
    dagster = {
      read       = ["dagster"]
      write      = ["dagster"]
      delete     = []
      aborts_all = false
      erases     = false
    }
    # Steps. They read media, and have no way to change them.
    dagster-step = {
      read = [
        "dagster", "exports", "media", "models", "predictions", "releases", "shards", "snapshots",
        "tables", "triton",
      ]
      write = [
        "dagster", "exports", "models", "predictions", "releases", "shards", "snapshots", "tables",
        "triton",
      ]
      delete     = ["exports", "releases", "triton"]
      aborts_all = false
      erases     = false
    }
    # `visionops forget`, in a pod of its own, which is started by hand: it removes objects with all their versions,
    # and writes shards and snapshots anew without what was forgotten. Tombstones lie below forgotten/.
    erasure = {
      read       = ["forgotten", "media", "predictions", "shards", "snapshots", "uploads"]
      write      = ["forgotten", "media", "predictions", "shards", "snapshots", "uploads"]
      delete     = ["forgotten", "media", "predictions", "shards", "snapshots", "uploads"]
      aborts_all = false
      erases     = true
    }
    # PostgreSQL's archiver, where components/postgresql is taken.
    postgresql = {
      read       = ["archive"]
      write      = ["archive"]
      delete     = ["archive"]
      aborts_all = false
      erases     = false
    }
    # Triton, which reads its model repository and nothing else.
    triton = {
      read       = ["releases", "triton"]
      write      = []
      delete     = []
      aborts_all = false
      erases     = false
    }
  }

  # External Secrets, which fetches what secrets.yaml names; the relay, which MSK knows by its role.
  service_accounts = toset(concat(keys(local.access), ["relay", "secrets"]))
  issuer           = split("oidc-provider/", var.oidc_provider_arn)[1]
}

data "aws_iam_policy_document" "trust" {
  for_each = local.service_accounts

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = ["system:serviceaccount:${var.namespace}:${each.key}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "program" {
  for_each = local.service_accounts

  name               = "${var.name}-${each.key}"
  description        = "Of the service account ${each.key} in the namespace ${var.namespace}."
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

data "aws_iam_policy_document" "bucket_access" {
  for_each = local.access

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = [for prefix in each.value.read : "${local.bucket_arn}/${prefix}/*"]
  }

  dynamic "statement" {
    for_each = length(each.value.write) > 0 ? [each.value.write] : []

    content {
      sid = "Write"
      # Large objects are written in parts, and what broke off is taken back.
      actions = [
        "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts",
      ]
      resources = [for prefix in statement.value : "${local.bucket_arn}/${prefix}/*"]
    }
  }

  dynamic "statement" {
    for_each = length(each.value.delete) > 0 ? [each.value.delete] : []

    content {
      sid       = "Delete"
      actions   = ["s3:DeleteObject"]
      resources = [for prefix in statement.value : "${local.bucket_arn}/${prefix}/*"]
    }
  }

  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]

    # If a prefix is asked for: Triton first asks whether there is a bucket, which names none. So names
    # of objects may be listed without one; what is in them is read by the statement above alone.
    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = flatten([for prefix in each.value.read : [prefix, "${prefix}/*"]])
    }
  }

  dynamic "statement" {
    for_each = each.value.aborts_all ? [distinct(flatten(values(local.access)[*].write))] : []

    content {
      sid       = "AbortUnfinished"
      actions   = ["s3:AbortMultipartUpload"]
      resources = [for prefix in statement.value : "${local.bucket_arn}/${prefix}/*"]
    }
  }

  dynamic "statement" {
    for_each = each.value.aborts_all ? [local.bucket_arn] : []

    content {
      sid       = "ListUnfinished"
      actions   = ["s3:ListBucketMultipartUploads"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = each.value.erases ? [each.value.delete] : []

    content {
      sid       = "EraseVersions"
      actions   = ["s3:DeleteObjectVersion"]
      resources = [for prefix in statement.value : "${local.bucket_arn}/${prefix}/*"]
    }
  }

  dynamic "statement" {
    for_each = each.value.erases ? [each.value.delete] : []

    content {
      sid       = "ListVersions"
      actions   = ["s3:ListBucketVersions"]
      resources = [local.bucket_arn]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = [for prefix in statement.value : "${prefix}/*"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.kms_key_arn[*]

    content {
      sid = "UseTheKey"
      # Parts of an object are decrypted to be joined, so writers need both.
      actions   = length(each.value.write) > 0 ? ["kms:Decrypt", "kms:GenerateDataKey"] : ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

data "aws_iam_policy_document" "secrets_access" {
  statement {
    sid     = "Read"
    actions = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    resources = [
      "arn:${data.aws_partition.this.partition}:secretsmanager:${var.region}:${data.aws_caller_identity.this.account_id}:secret:visionops/*",
    ]
  }
}

resource "aws_iam_role_policy" "bucket" {
  for_each = local.access

  name   = "bucket"
  role   = aws_iam_role.program[each.key].id
  policy = data.aws_iam_policy_document.bucket_access[each.key].json
}

resource "aws_iam_role_policy" "secrets" {
  name   = "secrets"
  role   = aws_iam_role.program["secrets"].id
  policy = data.aws_iam_policy_document.secrets_access.json
}
