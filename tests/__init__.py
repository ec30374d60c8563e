"""The promises of Subak, each as a test."""
