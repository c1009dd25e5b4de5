#if canImport(CoreML)
    import CoreML
    import Foundation

    /// A Core ML bundle's step functions; one image at a time.
    ///
    /// Tensors never leave the actor: a `State` only says which image and step it belongs to, and one of an image
    /// before the last is refused.
    public actor CoreMLStepRunner: SubgraphTimed {
        /// A ticket for the tensors that the runner holds.
        public struct State: Sendable, Equatable {
            let image: Int
            /// The last step that was begun.
            let step: Int
        }

        public nonisolated let steps: Int
        public nonisolated let imageSize: Int
        public nonisolated let patchSize: Int
        public nonisolated let units: ComputeUnits
        private let bundle: ModelBundle
        private let compiled = CompiledModels.shared
        private let resize: GlanceResize
        private let clock: TimeSource
        private var graphs: [CoreMLSubgraph] = []
        private var inputs: [String: PixelInput] = [:]
        /// Carried from step to step, by the name of the input that they become.
        private var tensors: [String: MLMultiArray] = [:]
        private var square: PixelSquare?
        private var image = 0

        /// Nothing is loaded until `load`, or the first image.
        ///
        /// - Parameters:
        ///   - bundle: of Core ML packages.
        ///   - units: what Core ML may use.
        ///   - clock: seconds.
        /// - Throws: `CoreMLError`: the bundle is of another format.
        public init(_ bundle: ModelBundle, units: ComputeUnits = .all, clock: @escaping TimeSource = systemClock) throws
        {
            guard bundle.manifest.format == .coreml else {
                throw CoreMLError(
                    "\(bundle.folder.path): a bundle of another format; make one with `gfnet export coreml`")
            }
            self.bundle = bundle
            self.units = units
            self.clock = clock
            steps = bundle.manifest.steps
            imageSize = bundle.manifest.preprocessing.imageSize
            patchSize = bundle.manifest.patchSize
            resize = GlanceResize(
                imageSize: imageSize, patchSize: patchSize,
                interpolation: bundle.manifest.preprocessing.glanceInterpolation)
        }

        /// Compiles what was not compiled before, and loads every subgraph.
        ///
        /// - Throws: `CoreMLError`.
        public func load() async throws {
            try await prepare()
            for graph in graphs {
                do {
                    try graph.load()
                } catch {
                    // The system may have emptied half of a cache: compile once more before giving up.
                    compiled.forget(graph.spec)
                    try await prepare(again: graph.spec)
                    try self.graph(named: graph.spec.name).load()
                }
            }
        }

        /// Loads everything and runs a black image to the last step, so that the first one that counts is not slow.
        public func prewarm() async throws {
            try await load()
            let black = PixelSquare(side: imageSize, bytes: [UInt8](repeating: 0, count: imageSize * imageSize * 3))
            var state = try await glance(black).state
            for step in 1..<steps {
                let proposed = try await propose(state)
                let origin = Origin(proposed.action, imageSize: imageSize, patchSize: patchSize)
                state = try await focus(origin, step: step + 1, state: proposed.state).state
            }
            _ = drainSamples()
        }

        /// Gives the models' memory back, as the system asks for under pressure; the next image loads them again.
        public func unload() {
            for graph in graphs { graph.unload() }
            tensors = [:]
            square = nil
            image += 1  // what was begun cannot go on
        }

        public func glance(_ square: PixelSquare) async throws -> (logits: [Float], state: State) {
            guard square.side == imageSize else {
                throw CoreMLError("\(square.side) pixels a side, but the network takes \(imageSize); resize it first")
            }
            try await prepare()
            image += 1
            self.square = square
            tensors = [:]
            let resize = resize
            try run(graph(.glance, 1)) { try $0.filled(with: square, by: resize) }
            if steps > 1 {
                let hidden = try graph(.policy, 2).spec.inputs.first { $0.name == TensorName.hidden }
                if let hidden { tensors[TensorName.hidden] = try zeros(hidden.shape) }
            }
            return (try numbers(TensorName.logits, at: 1), State(image: image, step: 1))
        }

        public func propose(_ state: State) async throws -> (action: Action, state: State) {
            try check(state)
            let step = state.step + 1
            try run(graph(.policy, step))
            let action = try numbers(TensorName.action, at: step)
            return (Action(row: action[0], column: action[1]), State(image: image, step: step))
        }

        public func focus(
            _ origin: Origin, step: Int, state: State
        ) async throws -> (logits: [Float], state: State) {
            try check(state)
            guard let square else { throw stale }
            let patch = try PatchView(of: square, at: origin, side: patchSize)
            try run(graph(.focus, step)) { try $0.filled(with: patch) }
            return (try numbers(TensorName.logits, at: step), State(image: image, step: step))
        }

        public func drainSamples() -> [String: [Double]] {
            Dictionary(uniqueKeysWithValues: graphs.map { ($0.spec.name, $0.drainSamples()) })
        }

        public var loadSeconds: [String: Double] {
            Dictionary(
                uniqueKeysWithValues: graphs.compactMap { graph in graph.loadSeconds.map { (graph.spec.name, $0) } })
        }

        /// Compiles what is not compiled and makes the subgraphs, once.
        ///
        /// - Parameter spec: a subgraph to prepare again although it is ready.
        private func prepare(again spec: Subgraph? = nil) async throws {
            guard graphs.isEmpty || spec != nil else { return }
            var made: [CoreMLSubgraph] = []
            for graph in bundle.manifest.subgraphs {
                if let known = graphs.first(where: { $0.spec.name == graph.name }), graph.name != spec?.name {
                    made.append(known)
                    continue
                }
                let url = try await compiled.compiled(graph, at: bundle.url(of: graph))
                made.append(CoreMLSubgraph(graph, compiled: url, units: units, clock: clock))
            }
            // Another call may have been as far meanwhile, with an image under way.
            if graphs.isEmpty || spec != nil { graphs = made }
        }

        /// Runs a subgraph; its outputs replace what they update.
        ///
        /// - Parameter fill: puts pixels into the input that takes some.
        private func run(_ graph: CoreMLSubgraph, fill: ((PixelInput) throws -> MLFeatureValue)? = nil) throws {
            var given: [String: MLFeatureValue] = [:]
            for spec in graph.spec.inputs {
                if let fill, spec.name == TensorName.image || spec.name == TensorName.patch {
                    let input = try inputs[spec.name + graph.spec.name] ?? PixelInput(spec)
                    inputs[spec.name + graph.spec.name] = input
                    given[spec.name] = try fill(input)
                } else if let tensor = tensors[spec.name] {
                    given[spec.name] = MLFeatureValue(multiArray: tensor)
                } else {
                    throw CoreMLError("\(graph.spec.name): nothing gave it \(spec.name); export the bundle again")
                }
            }
            for (name, tensor) in try graph.run(given) { tensors[TensorName.carried(name)] = tensor }
        }

        private func graph(_ role: Role, _ step: Int) throws -> CoreMLSubgraph {
            guard let found = graphs.first(where: { $0.spec.role == role && $0.spec.steps.contains(step) }) else {
                throw CoreMLError("no \(role.rawValue) for step \(step) of \(steps); export the bundle again")
            }
            return found
        }

        private func graph(named name: String) throws -> CoreMLSubgraph {
            guard let found = graphs.first(where: { $0.spec.name == name }) else {
                throw CoreMLError("no subgraph \(name); export the bundle again")
            }
            return found
        }

        private func check(_ state: State) throws {
            guard state.image == image else { throw stale }
        }

        private var stale: CoreMLError {
            CoreMLError("another image began, or memory ran short, before this one was done; classify it again")
        }

        /// A tensor's values in single precision, all of them numbers.
        private func numbers(_ name: String, at step: Int) throws -> [Float] {
            guard let array = tensors[name] else {
                throw CoreMLError("step \(step) gave no \(name); export the bundle again")
            }
            let values = floats(of: array)
            guard values.allSatisfy(\.isFinite) else {
                throw CoreMLError(
                    "step \(step): \(name) has NaN values on \(units.rawValue); "
                        + "try other compute units, or export with `--precision fp32`")
            }
            return values
        }

        /// Of any number type and stride: Core ML may pad rows.
        private func floats(of array: MLMultiArray) -> [Float] {
            let stride = array.strides.last?.intValue ?? 1
            guard array.dataType == .float32, array.shape.last?.intValue == array.count else {
                return (0..<array.count).map { array[$0].floatValue }
            }
            let values = array.dataPointer.assumingMemoryBound(to: Float.self)
            return (0..<array.count).map { values[$0 * stride] }
        }

        private func zeros(_ shape: [Int]) throws -> MLMultiArray {
            let array = try MLMultiArray(shape: shape.map { NSNumber(value: $0) }, dataType: .float32)
            array.dataPointer.initializeMemory(as: Float.self, repeating: 0, count: array.count)  // it comes as it lies
            return array
        }
    }
#endif
