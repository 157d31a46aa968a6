// Colours of the style sheets for a canvas, which takes neither var() nor light-dark().

let probe: HTMLElement | undefined;

/** The colour that a custom property stands for now, light or dark: `rgb(31, 95, 153)` of `--accent`. */
export function colorOf(property: string): string {
  if (!probe) {
    probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(${property})`;
  return getComputedStyle(probe).color;
}

/** A colour as computed, `rgb(1, 2, 3)`, that lets shine through what is behind it. */
export const translucent = (color: string, alpha: number): string => color.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
