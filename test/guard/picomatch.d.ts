declare module "picomatch" {
  export default function picomatch(glob: string, options?: object): (text: string) => boolean;
}
