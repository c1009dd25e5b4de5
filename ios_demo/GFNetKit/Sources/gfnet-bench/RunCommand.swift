import Foundation
import GFNetKit

/// `gfnet-bench run`.
enum RunCommand {
    static func run(_ arguments: [String]) async throws {
        #if canImport(CoreML)
            try await runCoreML(arguments)
        #else
            throw UsageError(
                "only a Mac has Core ML to run a bundle with; `gfnet bench onnx` measures here, `replay` plays traces")
        #endif
    }
}
