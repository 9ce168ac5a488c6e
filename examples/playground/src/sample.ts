/** A small picture to upload when no file was chosen. */
export async function drawSample(): Promise<File> {
  const canvas = document.createElement("canvas");
  canvas.width = 480;
  canvas.height = 320;
  const context = canvas.getContext("2d");
  if (context !== null) paint(context, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve, "image/png");
  });
  if (blob === null) throw new Error("This browser could not draw the sample picture: choose a file.");
  return new File([blob], "sample.png", { type: "image/png" });
}

function paint(context: CanvasRenderingContext2D, width: number, height: number): void {
  const sky = context.createLinearGradient(0, 0, 0, height);
  sky.addColorStop(0, "#2f6f8f");
  sky.addColorStop(1, "#f3d9b1");
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);
  context.fillStyle = "#fff3d6";
  context.beginPath();
  context.arc(width * 0.7, height * 0.42, 34, 0, 2 * Math.PI);
  context.fill();
  for (const [layer, color] of ["#5c8a78", "#2f6656", "#163c36"].entries()) {
    context.fillStyle = color;
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width; x += 8) {
      context.lineTo(
        x,
        height * (0.62 + layer * 0.11) - Math.sin(x / (70 - layer * 12) + layer * 2) * (26 - layer * 5),
      );
    }
    context.lineTo(width, height);
    context.fill();
  }
}
