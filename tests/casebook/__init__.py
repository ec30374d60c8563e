"""The casebook's promises."""
