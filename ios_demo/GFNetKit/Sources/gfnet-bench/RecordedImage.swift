import Foundation
import GFNetKit

/// One image of a file that `gfnet predict --all-steps --logits --json` wrote.
struct RecordedImage: Decodable, Sendable {
    struct Step: Decodable, Sendable {
        /// Row and column; `nil` for the glance.
        let action: [Float]?
        let logits: [Float]?
    }

    let image: String
    let steps: [Step]

    /// - Throws: `UsageError`: it is no such file, or of another network.
    static func read(_ path: String, manifest: Manifest) throws -> [RecordedImage] {
        let remedy = "write it with `gfnet predict BUNDLE PHOTOS --all-steps --logits --json FILE`"
        guard let content = try? Data(contentsOf: URL(fileURLWithPath: path)) else {
            throw UsageError("\(path): cannot be read; \(remedy)")
        }
        guard let images = try? JSONDecoder().decode([RecordedImage].self, from: content), !images.isEmpty else {
            throw UsageError("\(path): no recorded traces; \(remedy)")
        }
        for image in images {
            guard image.steps.count == manifest.steps else {
                throw UsageError(
                    "\(path): \(image.image) has \(image.steps.count) steps of \(manifest.steps); \(remedy)")
            }
            for (index, step) in image.steps.enumerated() {
                guard step.logits?.count == manifest.numClasses else {
                    throw UsageError(
                        "\(path): \(image.image) has no \(manifest.numClasses) logits at step \(index + 1); \(remedy)")
                }
                guard index == 0 || step.action?.count == 2 else {
                    throw UsageError("\(path): \(image.image) has no action at step \(index + 1); \(remedy)")
                }
            }
        }
        return images
    }
}
