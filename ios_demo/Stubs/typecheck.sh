#!/bin/sh
# Checks what only Apple's systems compile against stubs of their frameworks: typecheck.sh [FOLDER FOR MODULES]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$(mktemp -d)}
kit=$here/../GFNetKit/Sources
strict="-swift-version 6 -warnings-as-errors -parse-as-library"

for module in CoreGraphics CryptoKit ImageIO CoreVideo CoreML UIKit; do
    swiftc -emit-module -parse-as-library -swift-version 6 -I "$out" -module-name "$module" \
        -o "$out/$module.swiftmodule" "$here/$module.swift"
done
# shellcheck disable=SC2046,SC2086 # file names here have no blanks; several flags are meant
swiftc -typecheck $strict -I "$out" -module-name GFNetKit $(find "$kit/GFNetKit" -name '*.swift')
swiftc -emit-module $strict -I "$out" -module-name GFNetKit -o "$out/GFNetKit.swiftmodule" \
    $(find "$kit/GFNetKit" -name '*.swift')
swiftc -typecheck $strict -I "$out" -module-name gfnet_bench $(find "$kit/gfnet-bench" -name '*.swift')
echo "typecheck: clean"
