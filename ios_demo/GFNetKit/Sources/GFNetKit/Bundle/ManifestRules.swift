/// What a manifest's parts must have to do with one another.
extension Manifest {
    func checkCounts() throws {
        if preprocessing.imageSize < patchSize {
            throw Contradiction(
                reason: "image_size \(preprocessing.imageSize) is smaller than patch_size \(patchSize)")
        }
        if let labels {
            if labels.count != numClasses {
                throw Contradiction(reason: "\(labels.count) labels for \(numClasses) classes")
            }
            if labels.contains(where: { $0.unicodeScalars.count > Limits.label }) {
                throw Contradiction(reason: "a label has more than \(Limits.label) characters")
            }
        }
        if stepMacs.count != steps {
            throw Contradiction(reason: "step_macs has \(stepMacs.count) values for \(steps) steps")
        }
        if ![0, steps].contains(anytimeTop1.count) {
            throw Contradiction(reason: "anytime_top1 has \(anytimeTop1.count) values for \(steps) steps")
        }
        if budgets.contains(where: { $0.thresholds.count != steps }) {
            throw Contradiction(reason: "a budget must have \(steps) thresholds")
        }
        if budgets.contains(where: { ![0, steps].contains($0.exitDistribution.count) }) {
            throw Contradiction(reason: "a budget's exit_distribution must have \(steps) values")
        }
    }

    func checkForm() throws {
        let exists =
            switch format {
            case .onnx: compression == .none && layout != .multifunction
            case .coreml: [.fp32, .fp16].contains(precision) && layout != .fused
            case .coreai: [.fp32, .fp16].contains(precision) && compression == .none && layout == .split
            }
        let told =
            "\(format), \(precision), compression \(compression), \(layout)"
        if !exists { throw Contradiction(reason: "unknown form: \(told)") }
        if (calibration != nil) != (precision == .int8 || compression == .w8a8) {
            throw Contradiction(reason: "calibration belongs to 8-bit activations, and only to them: \(told)")
        }
    }

    func checkSequence() throws {
        if Set(subgraphs.map { Array($0.name.utf8) }).count < subgraphs.count {
            throw Contradiction(reason: "two subgraphs have the same name")
        }
        for step in 1...steps {
            for role in layout.roles(atStep: step) {
                let found = subgraphs.count { $0.role == role && $0.steps.contains(step) }
                if found != 1 {
                    throw Contradiction(reason: "step \(step) needs one \(role) subgraph, found \(found)")
                }
            }
        }
        for graph in subgraphs {
            for step in graph.steps where step > steps || !layout.roles(atStep: step).contains(graph.role) {
                throw Contradiction(
                    reason: "\(graph.name) is a \(graph.role) of step \(step), which no \(layout) "
                        + "bundle of \(steps) steps needs")
            }
            if format == .onnx && !graph.sha256.keys.contains(where: { $0.isSpelled(graph.path) }) {
                throw Contradiction(reason: "\(graph.name): sha256 lacks \(graph.path)")
            }
        }
    }

    /// Each step is given what those before it give.
    func checkShapes() throws {
        let known = [
            TensorName.image: [1, 3, patchSize, patchSize],
            TensorName.patch: [1, 3, patchSize, patchSize],
            TensorName.pixels: [1, preprocessing.imageSize, preprocessing.imageSize, 3],
            TensorName.logits: [1, numClasses],
            TensorName.action: [1, 2],
        ]
        var carried: [String: [Int]] = [:]  // from the step before
        for step in 1...steps {
            var given: [String: [Int]] = [:]
            for role in layout.roles(atStep: step) {
                guard let graph = subgraph(role, step: step) else { continue }  // checked before
                for input in graph.inputs {
                    let begins = input.name == TensorName.hidden && step == 2  // with zeros of any number
                    let wanted = known[input.name] ?? (begins ? input.shape : carried[input.name])
                    try check(input, of: graph, step: step, is: wanted)
                }
                for output in graph.outputs {
                    try check(output, of: graph, step: step, is: known[output.name] ?? output.shape)
                    given[TensorName.carried(output.name)] = output.shape
                }
            }
            carried = given
        }
    }

    private func check(_ spec: TensorSpec, of graph: Subgraph, step: Int, is wanted: [Int]?) throws {
        if spec.shape != wanted {
            let reason = wanted.map { "it must be \($0)" } ?? "nothing before gives it"
            throw Contradiction(reason: "\(graph.name): \(spec.name) is \(spec.shape) at step \(step), but \(reason)")
        }
    }
}
