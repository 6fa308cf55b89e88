"""The needs of an overlay of `deploy/kubernetes`, and whether a cluster has it all."""
