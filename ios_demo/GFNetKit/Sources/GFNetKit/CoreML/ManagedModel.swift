#if canImport(CoreML)
    import CoreML
    import Foundation

    /// A Core ML model that is loaded when it is first needed, and can be unloaded between two uses; nothing else
    /// holds it. Belongs to one actor.
    final class ManagedModel {
        private let make: () throws -> MLModel
        private let clock: TimeSource
        private var model: MLModel?
        /// What the last loading took.
        private(set) var loadSeconds: Double?

        /// - Parameters:
        ///   - make: loads it.
        ///   - clock: seconds.
        init(clock: @escaping TimeSource, make: @escaping () throws -> MLModel) {
            self.make = make
            self.clock = clock
        }

        /// Loads the model if it is not loaded.
        func load() throws {
            guard model == nil else { return }
            let start = clock()
            model = try make()
            loadSeconds = clock() - start
        }

        /// Hands the model to `body`, for as long as that runs.
        func perform<Result>(_ body: (MLModel) throws -> Result) throws -> Result {
            try load()
            guard let model else { throw CoreMLError("a model was unloaded while it was loaded; try again") }
            return try body(model)
        }

        /// Gives its memory back.
        func unload() {
            model = nil
        }
    }
#endif
