import { grounds, type Theme } from './theme.ts'

function colours(theme: Theme): string {
  const { paper, surface, sunken, line, edge, ink, quiet } = grounds[theme]
  return `--paper:${paper};--surface:${surface};--sunken:${sunken};--line:${line};--edge:${edge};--ink:${ink};--quiet:${quiet}`
}

/**
 * The look of a report: the page's grounds and ink, in the reader's own fonts. Pictures keep their light ground in both
 * schemes. On paper a run begins a page, and no picture or row is cut.
 */
export const reportStyle = `
:root{${colours('light')};color-scheme:light}
@media (prefers-color-scheme:dark){:root{${colours('dark')};color-scheme:dark}}
*{box-sizing:border-box}
body{margin:0 auto;padding:32px 24px 72px;max-width:1120px;background:var(--paper);color:var(--ink);font:16px/1.5 'Atkinson Hyperlegible Next','DejaVu Sans',Verdana,sans-serif}
h1{font-size:28px;line-height:1.25;margin:0 0 4px}
h2{font-size:21px;line-height:1.3;margin:0 0 4px;overflow-wrap:anywhere}
h3{font-size:17px;margin:32px 0 8px}
p{margin:4px 0 8px;overflow-wrap:anywhere}
.quiet,caption,figcaption,dt{color:var(--quiet)}
.quiet,nav,caption,figcaption,table,dl,pre{font-size:13px}
nav a{color:inherit}
.notice{display:inline-block;margin:8px 8px 8px 0;padding:4px 12px;border:2px solid var(--ink);border-radius:7px;font-weight:650}
.run{margin-top:32px;padding-top:24px;border-top:1px solid var(--line)}
.wide{overflow-x:auto;margin:8px 0 16px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:4px}
th,td{padding:4px 12px 4px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th{border-bottom-color:var(--edge)}
td{max-width:560px;overflow-wrap:break-word}
.right{text-align:right}
.gap{height:8px}
figure{margin:16px 0 24px;padding:8px;background:#fff;color:#16181d;border:1px solid var(--line);border-radius:10px;overflow-x:auto}
figure svg{display:block;max-width:100%;height:auto}
figcaption{padding:8px 8px 0;color:#565b64}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:0 24px;margin:8px 0 16px}
dl div{display:flex;gap:12px;padding:4px 0;border-bottom:1px solid var(--line)}
dt{flex:0 0 112px}
dd{margin:0;overflow-wrap:anywhere}
pre{margin:8px 0 16px;padding:12px;background:var(--sunken);border-radius:7px;white-space:pre-wrap;overflow-wrap:anywhere;font-family:'Atkinson Hyperlegible Mono','DejaVu Sans Mono',Menlo,Consolas,monospace}
@page{margin:14mm}
@media print{
:root{${colours('light')};color-scheme:light}
body{padding:0;max-width:none;background:#fff;font-size:11pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav{display:none}
.run{border-top:0;padding-top:0;margin-top:0}
.run+.run{break-before:page}
h2,h3,caption,.notice{break-after:avoid}
figure,tr,dl div,li,.short{break-inside:avoid}
thead{display:table-header-group}
.wide,figure{overflow:visible}
figure svg{max-height:235mm;width:auto}
table,dl,pre,figcaption,caption,.quiet{font-size:8.5pt}
}
`
