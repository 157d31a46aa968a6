// Views of one page as links: each has its own address.

interface TabsProps {
  label: string;
  tabs: readonly { name: string; text: string; href: string }[];
  current: string;
}

export function Tabs({ label, tabs, current }: TabsProps) {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(({ name, text, href }) => (
        <a key={name} href={href} aria-current={name === current ? "page" : undefined}>{text}</a>
      ))}
    </nav>
  );
}
