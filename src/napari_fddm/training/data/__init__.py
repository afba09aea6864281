"""What a model learns from: manifests, annotations, patches, splits."""
