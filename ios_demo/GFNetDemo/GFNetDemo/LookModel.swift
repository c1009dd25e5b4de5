import GFNetKit
import PhotosUI
import SwiftUI

/// One photo, step by step.
@MainActor
final class LookModel: ObservableObject {
    @Published private(set) var square: PixelSquare?
    @Published private(set) var steps: [StepTrace] = []
    @Published private(set) var ending: String?
    @Published private(set) var failure: String?
    @Published var position: Double {
        didSet { if position != oldValue { look() } }
    }

    let scale: BudgetScale
    private let installed: Installed
    private var task: Task<Void, Never>?
    /// Long enough to follow with the eye; the times that are shown are the network's own.
    private let pause = Duration.milliseconds(450)

    init(_ installed: Installed) {
        self.installed = installed
        let scale = BudgetScale(installed.bundle.manifest)
        self.scale = scale
        position = Double(scale.usual)
    }

    var manifest: Manifest { installed.bundle.manifest }
    var captions: [StepCaption] { steps.map { StepCaption($0, manifest) } }
    var frames: [PatchFrame] {
        steps.compactMap {
            PatchFrame($0, imageSize: manifest.preprocessing.imageSize, patchSize: manifest.patchSize)
        }
    }

    func show(_ item: PhotosPickerItem?) {
        guard let item else { return }
        Task {
            do {
                guard let content = try await item.loadTransferable(type: Data.self) else {
                    throw PhotoError("the photo cannot be loaded; try another one")
                }
                show(content)
            } catch {
                failure = error.localizedDescription
            }
        }
    }

    func show(_ content: Data) {
        do {
            square = try PhotoSquare.square(of: content, name: "photo", manifest.preprocessing)
            look()
        } catch {
            failure = error.localizedDescription
        }
    }

    private func look() {
        guard let square else { return }
        task?.cancel()
        (steps, ending, failure) = ([], nil, nil)
        let thresholds = scale.thresholds(at: Int(position.rounded()))
        task = Task {
            do {
                let trace = try await installed.engine.classify(square, name: "photo", thresholds: thresholds)
                for step in trace.steps {
                    withAnimation { steps.append(step) }
                    try await Task.sleep(for: pause)
                }
                ending = StepCaption.ending(trace, of: manifest.steps)
            } catch is CancellationError {
                // Another photo or budget took its place.
            } catch {
                failure = error.localizedDescription
            }
        }
    }
}
