/// What a manifest may hold at most, as in Python: far beyond any network, and small enough that a reader who
/// trusts a manifest allocates no more than it can have.
enum Limits {
    static let manifestBytes = 4 * 1024 * 1024
    /// Besides the labels.
    static let values = 20_000
    static let classes = 100_000
    static let steps = 64
    static let count = 2_147_483_647
    static let elements = 1 << 28
    static let imageSize = 4096
    /// Of the photo's shorter side to the square's.
    static let resize = 4
    static let budgets = 500
    static let subgraphs = 256
    static let tensors = 8
    static let dimensions = 8
    static let files = 64
    static let libraries = 64
    static let floatLayers = 10_000
    static let text = 200
    static let label = 1000
    static let path = 500
    /// Bytes that a file system takes for one name.
    static let name = 255
}
