import PhotosUI
import SwiftUI

/// A photo, and where the network looks at it.
struct LookView: View {
    @StateObject private var model: LookModel
    @State private var item: PhotosPickerItem?
    @State private var isCameraShown = false

    init(model: @autoclosure @escaping () -> LookModel) {
        _model = StateObject(wrappedValue: model())
    }

    var body: some View {
        NavigationStack {
            ScrollView {
                VStack(alignment: .leading, spacing: 16) {
                    SquareView(square: model.square, frames: model.frames)
                    StepList(captions: model.captions, ending: model.ending)
                    if let failure = model.failure { FailureLine(reason: failure) }
                    BudgetSlider(position: $model.position, scale: model.scale)
                }
                .padding()
            }
            .navigationTitle("Glance and focus")
            .toolbar {
                PhotosPicker(selection: $item, matching: .images) { Label("Choose a photo", systemImage: "photo") }
                if CameraView.isAvailable {
                    Button {
                        isCameraShown = true
                    } label: {
                        Label("Take a photo", systemImage: "camera")
                    }
                }
            }
            .onChange(of: item) { model.show($0) }
            .fullScreenCover(isPresented: $isCameraShown) {
                CameraView { model.show($0) }.ignoresSafeArea()
            }
        }
    }
}
