import Foundation
import GFNetKit

/// `gfnet-manifest-check PATH...`: this package's verdict on bundles and manifests, one line each.
///
/// A folder is opened as a bundle, a file is read as a manifest.  Prints `ok` or `refused`, a tab and the reason.
@main
enum ManifestCheck {
    static func main() {
        let paths = CommandLine.arguments.dropFirst()
        guard !paths.isEmpty else {
            FileHandle.standardError.write(Data("usage: gfnet-manifest-check BUNDLE_OR_MANIFEST...\n".utf8))
            exit(2)
        }
        for path in paths { print(verdict(on: URL(fileURLWithPath: path))) }
    }

    private static func verdict(on url: URL) -> String {
        do {
            if url.hasDirectoryPath {
                _ = try ModelBundle.open(url)
            } else {
                _ = try ModelBundle.readManifest(url)
            }
            return "ok"
        } catch {
            return "refused\t\(error)"
        }
    }
}
