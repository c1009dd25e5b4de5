import SwiftUI
import UIKit

/// The system's camera; hands over the photo that was taken.
struct CameraView: UIViewControllerRepresentable {
    let onPhoto: @MainActor (Data) -> Void
    @Environment(\.dismiss) private var dismiss

    init(onPhoto: @escaping @MainActor (Data) -> Void) {
        self.onPhoto = onPhoto
    }

    static var isAvailable: Bool { UIImagePickerController.isSourceTypeAvailable(.camera) }

    func makeUIViewController(context: Context) -> UIImagePickerController {
        let camera = UIImagePickerController()
        camera.sourceType = .camera
        camera.delegate = context.coordinator
        return camera
    }

    func updateUIViewController(_ camera: UIImagePickerController, context: Context) {}

    func makeCoordinator() -> Coordinator { Coordinator(view: self) }

    @MainActor
    final class Coordinator: NSObject, UIImagePickerControllerDelegate, UINavigationControllerDelegate {
        private let view: CameraView

        init(view: CameraView) {
            self.view = view
        }

        func imagePickerController(
            _ camera: UIImagePickerController,
            didFinishPickingMediaWithInfo info: [UIImagePickerController.InfoKey: Any]
        ) {
            // With its orientation, as a file has it.
            if let photo = info[.originalImage] as? UIImage, let content = photo.jpegData(compressionQuality: 0.95) {
                view.onPhoto(content)
            }
            view.dismiss()
        }

        func imagePickerControllerDidCancel(_ camera: UIImagePickerController) {
            view.dismiss()
        }
    }
}
