#if canImport(CoreML)
    import CoreML
    import Foundation

    /// One subgraph of a bundle: its model, and the memory that its outputs are written to. Belongs to one actor.
    final class CoreMLSubgraph {
        let spec: Subgraph
        private let model: ManagedModel
        private let clock: TimeSource
        /// Two sets, in turn: what a call reads, its own earlier outputs among it, is not what it writes.
        private var backings: [[String: MLMultiArray]] = []
        private var calls = 0
        /// Of the calls since they were last taken.
        private var samples: [Double] = []

        /// - Parameters:
        ///   - spec: what the manifest says of it.
        ///   - package: its compiled model.
        ///   - units: what Core ML may use.
        ///   - clock: seconds.
        init(_ spec: Subgraph, compiled package: URL, units: ComputeUnits, clock: @escaping TimeSource) {
            self.spec = spec
            self.clock = clock
            model = ManagedModel(clock: clock) {
                let configuration = MLModelConfiguration()
                configuration.computeUnits = units.mlComputeUnits
                if let function = spec.function {
                    guard #available(iOS 18, macOS 15, *) else {
                        throw CoreMLError(
                            "\(spec.path): a package with several functions needs iOS 18 or macOS 15; "
                                + "export it with `--layout split`")
                    }
                    configuration.functionName = function
                }
                do {
                    return try MLModel(contentsOf: package, configuration: configuration)
                } catch {
                    throw CoreMLError(
                        "\(spec.path): Core ML cannot load \(spec.name) (\(error.localizedDescription)); "
                            + "try other compute units, or export the bundle again")
                }
            }
        }

        /// What the last loading took.
        var loadSeconds: Double? { model.loadSeconds }

        func load() throws {
            try model.load()
        }

        /// Gives memory back; the next call loads again.
        func unload() {
            model.unload()
            backings = []
        }

        /// Runs it.
        ///
        /// - Parameter inputs: one for each of the manifest's, by name.
        /// - Returns: the outputs by name; good until the call after the next one.
        func run(_ inputs: [String: MLFeatureValue]) throws -> [String: MLMultiArray] {
            try model.perform { model in
                if backings.isEmpty { backings = try [memory(for: model), memory(for: model)] }
                let options = MLPredictionOptions()
                options.outputBackings = backings[calls % 2]
                calls += 1
                let given = try MLDictionaryFeatureProvider(dictionary: inputs)
                let found: any MLFeatureProvider
                let start = clock()
                do {
                    found = try model.prediction(from: given, options: options)
                } catch {
                    throw CoreMLError(
                        "\(spec.path): Core ML cannot run \(spec.name) (\(error.localizedDescription)); "
                            + "try other compute units")
                }
                samples.append(clock() - start)
                var outputs: [String: MLMultiArray] = [:]
                for output in spec.outputs {
                    guard let array = found.featureValue(for: output.name)?.multiArrayValue else {
                        throw CoreMLError("\(spec.path): \(spec.name) gives no \(output.name); export the bundle again")
                    }
                    outputs[output.name] = array
                }
                return outputs
            }
        }

        /// Seconds of all calls since the last time; forgets them.
        func drainSamples() -> [Double] {
            defer { samples = [] }
            return samples
        }

        /// Memory for every output whose shape the model is sure of.
        private func memory(for model: MLModel) throws -> [String: MLMultiArray] {
            var arrays: [String: MLMultiArray] = [:]
            for output in spec.outputs {
                let described = model.modelDescription.outputDescriptionsByName[output.name]?.multiArrayConstraint
                // Some packages leave shapes open; Core ML then brings memory of its own.
                guard let described, described.shape.map(\.intValue) == output.shape else { continue }
                arrays[output.name] = try MLMultiArray(shape: described.shape, dataType: described.dataType)
            }
            return arrays
        }
    }

    extension ComputeUnits {
        var mlComputeUnits: MLComputeUnits {
            switch self {
            case .all: .all
            case .cpuOnly: .cpuOnly
            case .cpuAndGPU: .cpuAndGPU
            case .cpuAndNeuralEngine: .cpuAndNeuralEngine
            }
        }
    }
#endif
