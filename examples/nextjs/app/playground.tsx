"use client";

import { mountPlayground } from "@keyway-examples/playground";
import { useEffect, useRef } from "react";

export function Playground() {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (element.current !== null) return mountPlayground(element.current, { proxyUrl: "/api/fal/proxy" });
  }, []);
  return <div ref={element} />;
}
