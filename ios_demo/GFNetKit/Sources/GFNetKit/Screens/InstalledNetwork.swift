import Foundation

/// The bundle that was put into the app.
public enum InstalledNetwork {
    /// Its folder in the app's resources.
    public static let path = "Network/bundle"

    /// Opens and checks it.
    ///
    /// - Parameter resources: the app's.
    /// - Throws: `BundleError`: it is missing, with the step that puts it there, or damaged.
    public static func open(in resources: URL) throws -> ModelBundle {
        let folder = resources.appendingPathComponent(path)
        guard FileManager.default.fileExists(atPath: folder.path) else {
            throw BundleError(
                path: path, expectation: "there is no network in this app",
                remedy: "run `make ios-bundle CKPT=...` in the repository and build the app again")
        }
        return try ModelBundle.open(folder)
    }
}
