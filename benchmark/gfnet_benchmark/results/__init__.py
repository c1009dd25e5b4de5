"""What measured runs are good for: kept, compared, doubted, and used to choose thresholds for a device."""
