"""Training data: manifests, annotations, patches, datasets and splits by case."""
