"""What builds, renders and checks the image, the chart and the manifests."""
