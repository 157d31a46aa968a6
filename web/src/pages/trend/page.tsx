import type { PageProps } from "../pages";

export default function Page({ route }: PageProps) {
  return <h1>{route.page}</h1>;
}
