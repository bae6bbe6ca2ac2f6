# EARS and GLR-CUSUM of the package `surveillance` on daily series, one a row.
# Rscript surveillance.R FOLDER: reads FOLDER/value.csv and, for counts, FOLDER/usual.csv (what a Poisson mean should be);
# writes FOLDER/ears.csv (z of method C2, four weeks of baseline) and FOLDER/glr.csv (the likelihood-ratio statistic).
suppressMessages(library(surveillance))
folder <- commandArgs(trailingOnly = TRUE)[1]
read <- function(name) as.matrix(read.csv(file.path(folder, name), header = FALSE))
save <- function(x, name) write.table(round(x, 4), file.path(folder, name), sep = ",", row.names = FALSE, col.names = FALSE, na = "")
BASELINE <- 28
value <- read("value.csv")

# the bound lies at mean + quantile * sd: two levels give both
ears <- function(x) {
  out <- rep(NA_real_, length(x))
  first <- which(!is.na(x))[1]
  if (is.na(first) || length(x) - first < 2 * BASELINE) return(out)
  series <- sts(observed = matrix(x[first:length(x)]), frequency = 7)
  range <- (BASELINE + 4):(length(x) - first + 1)
  bound <- function(alpha) as.numeric(upperbound(earsC(series, control = list(range = range, method = "C2", baseline = BASELINE, alpha = alpha))))
  middle <- bound(0.5)
  spread <- pmax((bound(0.001) - middle) / qnorm(0.999), 0.05 * abs(middle) + 1e-9)
  out[first - 1 + range] <- (x[first - 1 + range] - middle) / spread
  out
}
save(t(apply(value, 1, ears)), "ears.csv")

# no alarm level is ever reached (c.ARL), so that the statistic is never set back
glr <- function(x, mean) {
  out <- rep(NA_real_, length(x))
  first <- which(!is.na(x) & !is.na(mean))[1]
  if (is.na(first) || length(x) - first < BASELINE) return(out)
  range <- first:length(x)
  control <- list(range = range, mu0 = pmax(mean[range], 0.3), alpha = 0, c.ARL = 1e9, ret = "value", Mtilde = 1, M = BASELINE)
  x[is.na(x)] <- 0
  out[range] <- as.numeric(upperbound(glrnb(sts(observed = matrix(x), frequency = 7), control = control)))
  out
}
if (file.exists(file.path(folder, "usual.csv"))) {
  usual <- read("usual.csv")
  save(t(sapply(seq_len(nrow(value)), function(i) glr(value[i, ], usual[i, ]))), "glr.csv")
}
