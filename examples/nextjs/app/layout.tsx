import type { Metadata, Viewport } from "next";
import type { ReactNode } from "react";
import "@keyway-examples/playground/style.css";

export const metadata: Metadata = {
  title: "Keyway playground",
  icons: {
    icon: "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8' fill='%230b6b58'/%3E%3Cg fill='none' stroke='white' stroke-width='3' stroke-linecap='round'%3E%3Ccircle cx='11.5' cy='16' r='4.5'/%3E%3Cpath d='M16 16h10v4M21.500 16v3'/%3E%3C/g%3E%3C/svg%3E",
  },
};

export const viewport: Viewport = { colorScheme: "light dark" };

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
