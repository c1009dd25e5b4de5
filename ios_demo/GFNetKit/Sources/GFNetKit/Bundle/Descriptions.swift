// In messages and results these are spelled as in the manifest.
extension Manifest.Format: CustomStringConvertible {
    public var description: String { rawValue }
}

extension Manifest.Precision: CustomStringConvertible {
    public var description: String { rawValue }
}

extension Manifest.Compression: CustomStringConvertible {
    public var description: String { rawValue }
}

extension Manifest.Layout: CustomStringConvertible {
    public var description: String { rawValue }
}

extension Role: CustomStringConvertible {
    public var description: String { rawValue }
}
